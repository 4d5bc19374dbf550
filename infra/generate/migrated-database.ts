// A database that exists for the length of one piece of work, made of all migrations or of nothing.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { listMigrations, migrate } from '#platform/postgres/migrate.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';

/** Makes an empty database beside the one of `superuserUrl`, gives its pool to `work`, and drops it whatever happens. */
export async function withEmptyDatabase<T>(superuserUrl: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const name = `scratch_${randomBytes(8).toString('hex')}`;
  const server = createPostgresPool({ url: superuserUrl, poolSize: 1, applicationName: 'generate' });
  try {
    await server.query(`CREATE DATABASE ${name}`);
    const url = new URL(superuserUrl);
    url.pathname = `/${name}`;
    const pool = createPostgresPool({ url: url.toString(), poolSize: 1, applicationName: 'generate' });
    try {
      return await work(pool);
    } finally {
      await pool.end();
      await server.query(`DROP DATABASE ${name} WITH (FORCE)`);
    }
  } finally {
    await server.end();
  }
}

export function withMigratedDatabase<T>(
  root: string,
  superuserUrl: string,
  work: (pool: Pool) => Promise<T>,
): Promise<T> {
  return withEmptyDatabase(superuserUrl, async (pool) => {
    await migrate(pool, await listMigrations(join(root, 'migrations')));
    return work(pool);
  });
}
