// Baseline: single-row inserts of assignments, one transaction each, by pgbench; where there is no pgbench, by a loop over node-postgres.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { benchExperiment, benchUnitType } from '../support/workload.ts';

export type InsertOptions = {
  readonly databaseUrl: string;
  readonly clients: number;
  readonly seconds: number;
};
export type InsertResult = { readonly perSecond: number; readonly p99Ms: number };

/** The row that the assignment service stores, without the row in its outbox. */
export const insertSql = `INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version,
  probability, enrolment_share, source) VALUES ('${benchExperiment.id}', gen_random_uuid()::text, '${benchUnitType}',
  '${benchExperiment.variants[0].id}', 1234, 1, 0.5, 1, 'hashed')`;

/** `pgbench` when it is there, else the name of what stands in for it. */
export function findInserter(): 'pgbench' | 'node-postgres loop' {
  try {
    execFileSync('pgbench', ['--version'], { stdio: 'ignore' });
    return 'pgbench';
  } catch {
    return 'node-postgres loop';
  }
}

export function insertSingleRows(options: InsertOptions): Promise<InsertResult> {
  return findInserter() === 'pgbench' ? runPgbench(options) : runLoop(options);
}

async function runPgbench({ databaseUrl, clients, seconds }: InsertOptions): Promise<InsertResult> {
  const url = new URL(databaseUrl);
  const folder = await mkdtemp(join(tmpdir(), 'trialstream-pgbench-'));
  try {
    await writeFile(join(folder, 'insert.sql'), `${insertSql.replaceAll('\n', ' ')};\n`);
    const child = spawn(
      'pgbench',
      [
        ...['--no-vacuum', '--protocol=prepared', '--file=insert.sql', `--client=${clients}`, '--jobs=2'],
        ...[`--time=${seconds}`, '--log', '--log-prefix=transactions'],
        ...['--host', url.hostname, '--port', url.port, '--username', url.username, url.pathname.slice(1)],
      ],
      {
        cwd: folder,
        env: { PATH: process.env.PATH, PGPASSWORD: decodeURIComponent(url.password) },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += String(chunk);
      });
    }
    const [code] = (await once(child, 'close')) as [number | null];
    const found = /tps = ([\d.]+)/.exec(output);
    if (code !== 0 || found === null) throw new Error(`pgbench failed (exit code ${code}).\n${output}`);
    return { perSecond: Number(found[1]), p99Ms: await readP99(folder) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** From pgbench's logs of single transactions, whose third field is the time in µs. */
async function readP99(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => name.startsWith('transactions'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  const times = texts.flatMap((text) =>
    text
      .trim()
      .split('\n')
      .map((line) => Number(line.split(' ')[2])),
  );
  times.sort((a, b) => a - b);
  return (times[Math.floor(times.length * 0.99)] ?? 0) / 1_000;
}

async function runLoop(options: InsertOptions): Promise<InsertResult> {
  const output = await runOwnProgram('bench/baselines/single-row-insert-loop.ts', [JSON.stringify(options)], {
    PATH: process.env.PATH ?? '',
  });
  return JSON.parse(output) as InsertResult;
}
