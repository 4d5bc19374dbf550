// A connection to Postgres for commands that look at datasets and what was made of them.
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { datasetConfig } from './dataset-config.ts';

export async function withDatasetPool<T>(
  { settingsOf }: Pick<CommandLine, 'settingsOf'>,
  work: (pool: Pool) => Promise<T>,
): Promise<T> {
  const pool = createPostgresPool({ ...settingsOf(datasetConfig).postgres, poolSize: 2, applicationName: 'ops' });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}
