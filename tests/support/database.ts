// A fresh, fully migrated database per test file, cloned from a template that is made once per set of migrations.
import { createHash, randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { StackEndpoints } from '#infra/local/components.ts';
import { deriveLocalAccess } from '#infra/system/local-access.ts';
import { listMigrations, migrate } from '#platform/postgres/migrate.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url));
const templateLockKey = 7_160_009;
export type DatabaseRole =
  | 'analyst'
  | 'assignment_service'
  | 'ingestion_service'
  | 'postgres_sink'
  | 'parquet_archiver'
  | 'metrics_aggregator'
  | 'dataset_builder'
  | 'guardrail_monitor'
  | 'planner_service'
  | 'operator';

export type TestDatabase = {
  readonly name: string;
  readonly url: string;
  /** A pool of the superuser, for setting up and looking. */
  readonly pool: Pool;
  /** Connection string of a process role, with that role's rights only. */
  urlAs(role: DatabaseRole): string;
  /** A pool with the rights of a process role. */
  poolAs(role: DatabaseRole, poolSize?: number): Pool;
  /** Closes the pools and drops the database. Call it after the test's own connections are closed. */
  drop(): Promise<void>;
};

function urlOf(serverUrl: string, database: string, credentials?: { user: string; password: string }): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  if (credentials !== undefined) {
    url.username = credentials.user;
    url.password = credentials.password;
  }
  return url.toString();
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function ensureTemplate(serverUrl: string, rolePassword: string): Promise<string> {
  const migrations = await listMigrations(migrationsFolder);
  const digest = createHash('sha256')
    .update(migrations.map(({ checksum }) => checksum).join())
    .digest('hex')
    .slice(0, 16);
  const name = `test_template_${digest}`;
  await withClient(serverUrl, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [templateLockKey]);
    const ready = await client.query('SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate', [name]);
    if (ready.rowCount === 1) return;
    await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${name}`);
    const pool = createPostgresPool({ url: urlOf(serverUrl, name), poolSize: 1, applicationName: 'test-template' });
    try {
      await migrate(pool, migrations);
      for (const role of [
        'analyst',
        'assignment_service',
        'ingestion_service',
        'postgres_sink',
        'parquet_archiver',
        'metrics_aggregator',
        'dataset_builder',
        'guardrail_monitor',
        'planner_service',
        'operator',
      ]) {
        await pool.query(`ALTER ROLE ${role} LOGIN PASSWORD '${rolePassword}'`);
      }
    } finally {
      await pool.end();
    }
    await client.query(`ALTER DATABASE ${name} IS_TEMPLATE true`);
  });
  return name;
}

/** Clones the template on the shared stack, or on another one. Every test file makes its own and drops it. */
export async function createTestDatabase(endpoints: StackEndpoints = stackEndpoints()): Promise<TestDatabase> {
  const serverUrl = endpoints.postgres.superuserUrl;
  // Roles belong to the whole server: they keep the password that a system on the same stack gives them.
  const { rolePassword } = deriveLocalAccess(endpoints);
  const template = await ensureTemplate(serverUrl, rolePassword);
  const name = `test_${randomBytes(8).toString('hex')}`;
  await withClient(serverUrl, async (client) => {
    // Cloning refuses a template that another session clones at this moment.
    await client.query('SELECT pg_advisory_lock($1)', [templateLockKey]);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  });
  const pools: Pool[] = [];
  const open = (url: string, poolSize: number): Pool => {
    const pool = createPostgresPool({ url, poolSize, applicationName: 'test' });
    pools.push(pool);
    return pool;
  };
  const urlAs = (role: DatabaseRole): string => urlOf(serverUrl, name, { user: role, password: rolePassword });
  return {
    name,
    url: urlOf(serverUrl, name),
    pool: open(urlOf(serverUrl, name), 6),
    urlAs,
    poolAs: (role, poolSize = 4) => open(urlAs(role), poolSize),
    drop: async () => {
      await Promise.all(pools.map((pool) => pool.end()));
      await withClient(serverUrl, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`));
    },
  };
}
