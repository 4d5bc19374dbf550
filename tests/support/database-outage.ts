// Lets one process role lose a test database and have it back; other databases of the server are not touched.
import pg from 'pg';
import type { DatabaseRole, TestDatabase } from '#tests/support/database.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

/** `away` ends the sessions of the role and refuses new ones; the pools of superusers go on. */
export async function setDatabaseState(
  database: TestDatabase,
  role: DatabaseRole,
  state: 'away' | 'back',
): Promise<void> {
  const admin = new pg.Client({ connectionString: stackEndpoints().postgres.superuserUrl });
  await admin.connect();
  try {
    await admin.query(`ALTER DATABASE ${database.name} CONNECTION LIMIT ${state === 'away' ? 0 : -1}`);
    if (state === 'away') {
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $2', [
        database.name,
        role,
      ]);
    }
  } finally {
    await admin.end();
  }
}
