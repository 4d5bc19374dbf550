// A DuckDB of its own in a temporary folder, for work on Parquet files that goes away with it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

export type ScratchDatabase = AsyncDisposable & {
  readonly connection: DuckDBConnection;
  /** Files put here are removed with the database. */
  readonly folder: string;
};

/** A text as SQL of DuckDB. */
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** What does not fit into `memoryLimit` goes to the folder. With one thread the order of rows is that of the query. */
export async function openScratchDatabase(
  options: { threads?: number; memoryLimit?: string } = {},
): Promise<ScratchDatabase> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'trialstream-scratch-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(options.threads ?? 1),
    memory_limit: options.memoryLimit ?? '512MB',
    temp_directory: join(folder, 'spill'),
  });
  started.defer(() => instance.closeSync());
  const connection = await instance.connect();
  started.defer(() => connection.closeSync());
  await connection.run("SET TimeZone = 'UTC'");
  const resources = started.move();
  return { connection, folder, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
