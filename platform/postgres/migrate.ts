// Applies named, append-only SQL migrations in order, each in one transaction, with a ledger of checksums.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FatalError } from '#platform/errors.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';

export type Migration = { name: string; sql: string; checksum: string };

const fileName = /^\d{4}_[a-z0-9_]+\.sql$/;
const advisoryLockKey = 7_160_000;

/** Reads the migrations of a folder in name order. */
export async function listMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => fileName.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(folder, name), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/**
 * Brings the database up to date and returns the names applied. Concurrent callers wait for each other.
 * @throws FatalError `migration-failed` when an applied file was changed, when the database is ahead, or when a file fails.
 */
export async function migrate(pool: Pool, migrations: readonly Migration[]): Promise<string[]> {
  return inTransaction(pool, async (tx) => {
    await tx.query("SET LOCAL lock_timeout = '30s'");
    await tx.query('SELECT pg_advisory_xact_lock($1)', [advisoryLockKey]);
    await tx.query(
      'CREATE TABLE IF NOT EXISTS public.schema_migrations (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const ledger = await tx.query<{ name: string; checksum: string }>(
      'SELECT name, checksum FROM public.schema_migrations ORDER BY name',
    );
    const known = new Map(migrations.map((migration) => [migration.name, migration]));
    for (const row of ledger.rows) {
      const migration = known.get(row.name);
      if (migration === undefined) {
        throw new FatalError(
          `the database has migration ${row.name}, which this release does not know: deploy the newer release`,
          {
            code: 'migration-failed',
          },
        );
      }
      if (migration.checksum !== row.checksum) {
        throw new FatalError(
          `migration ${row.name} was changed after it was applied: restore the file and add a new migration`,
          {
            code: 'migration-failed',
          },
        );
      }
    }
    const applied = new Set(ledger.rows.map((row) => row.name));
    const pending = migrations.filter((migration) => !applied.has(migration.name));
    for (const migration of pending) {
      try {
        await tx.query(migration.sql);
      } catch (error) {
        throw new FatalError(`migration ${migration.name} failed`, { code: 'migration-failed', cause: error });
      }
      await tx.query('INSERT INTO public.schema_migrations (name, checksum) VALUES ($1, $2)', [
        migration.name,
        migration.checksum,
      ]);
    }
    return pending.map((migration) => migration.name);
  });
}
