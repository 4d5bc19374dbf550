// What the stack of a benchmark is: versions, whether a commit reaches the disk, and how long the disk takes for it.
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { spreadOf } from '../findings.ts';
import type { BenchStack } from './bench-stack.ts';

export type StackState = {
  readonly postgres: string;
  /** Settings of Postgres that decide what a commit costs. */
  readonly settings: Readonly<Record<string, string>>;
  /** Median of writing a page of 8 KiB and waiting until the disk has it, in ms. */
  readonly fsyncMs: number;
};

const settingNames = ['fsync', 'synchronous_commit', 'wal_sync_method', 'shared_buffers'];

export async function readStackState({ pool, localDir }: Pick<BenchStack, 'pool' | 'localDir'>): Promise<StackState> {
  const version = await pool.query<{ server_version: string }>('SHOW server_version');
  const found = await pool.query<{ name: string; value: string }>(
    'SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY ($1) ORDER BY name',
    [settingNames],
  );
  return {
    postgres: version.rows[0]!.server_version,
    settings: Object.fromEntries(found.rows.map(({ name, value }) => [name, value])),
    fsyncMs: timeFsync(join(localDir, 'fsync-probe')),
  };
}

function timeFsync(path: string): number {
  const file = openSync(path, 'w');
  const page = Buffer.alloc(8_192, 1);
  try {
    const times = Array.from({ length: 50 }, (_, index) => {
      const startedAt = performance.now();
      writeSync(file, page, 0, page.length, index * page.length);
      fsyncSync(file);
      return performance.now() - startedAt;
    });
    return spreadOf(times).median;
  } finally {
    closeSync(file);
    rmSync(path);
  }
}

export function describeStackState({ postgres, settings, fsyncMs }: StackState): string {
  const named = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  return `Postgres ${postgres} (${named.join(', ')}); writing 8 KiB to its disk takes ${fsyncMs.toFixed(2)} ms`;
}
