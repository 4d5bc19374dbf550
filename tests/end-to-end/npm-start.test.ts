// `npm start` as a person runs it, on a small slice of a real campaign: all checks true, the same figures twice, nothing left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { removeStackData } from '#infra/local/stack-data.ts';
import { listProcessesOf } from '#tests/support/processes-of-folder.ts';

type Report = {
  open_bandit: { experiment: string; variants: { name: string; events: number; clicks: number; mean: number }[] };
  planner: object;
  events: { sent: number; accepted: number; rejected: number; postgres: number; archive: number };
  assignments: number;
  training_rows: number;
  dataset: { version: string; object_key: string; rows: number };
  checks: { name: string; ok: boolean; detail?: string }[];
  seconds: number;
};

const sliceRows = 1_500;
let folder: string;
let localDir: string;
let slice: string[];
let sliceFile: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trialstream-end-to-end-'));
  localDir = join(folder, 'local');
  sliceFile = join(folder, 'Another Campaign.csv');
  slice = await readSlice();
  await writeFile(sliceFile, `${slice.join('\n')}\n`);
});
afterAll(async () => {
  if (listProcessesOf(localDir).length > 0) await npm('run', 'down');
  await removeStackData(localDir);
  await rm(folder, { recursive: true, force: true });
});

/** Header and every thirteenth row of the committed file, so that both policies and many hours are in it. */
async function readSlice(): Promise<string[]> {
  const source = createReadStream(join(repositoryRoot, 'data', 'open-bandit-men.csv.gz'));
  const lines: string[] = [];
  let number = 0;
  for await (const line of createInterface({
    input: source.pipe(createGunzip()),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    if (number++ % 13 === 0) lines.push(line);
    if (lines.length > sliceRows) break;
  }
  source.destroy();
  return lines;
}

/** Runs npm with the folder of this test; the host's npm, so that the scripts choose their own Node. */
async function npm(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn('npm', args, {
    cwd: repositoryRoot,
    env: { ...process.env, TRIALSTREAM_LOCAL_DIR: localDir, NODE_OPTIONS: '', VITEST: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk;
    });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...text };
}

const start = (file: string, ...more: string[]) =>
  npm('start', '--', '--json', '--households', '8', '--days', '7', '--open-bandit', file, ...more);

/** The last line of stdout, with what the process said when it is not a report. */
function reportOf(result: { code: number | null; stdout: string; stderr: string }): Report {
  expect(result.code, result.stderr).toBe(0);
  return JSON.parse(result.stdout.trimEnd().split('\n').at(-1)!) as Report;
}

/** Counts per policy straight from the text of the slice. */
function countSlice(): Report['open_bandit']['variants'] {
  const columns = slice[0]!.split(',');
  const rows = slice.slice(1).map((line) => line.split(','));
  const [policy, click] = [columns.indexOf('policy'), columns.indexOf('click')];
  return ['bts', 'random'].map((name) => {
    const own = rows.filter((row) => row[policy] === name);
    const clicks = own.filter((row) => row[click] === '1').length;
    return { name, events: own.length, clicks, mean: clicks / own.length };
  });
}

test('two runs end with all checks true, the figures of the file and nothing left behind', async () => {
  const first = reportOf(await start(sliceFile));
  expect(listProcessesOf(localDir)).toEqual([]);
  expect(first.open_bandit.variants.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual(countSlice());
  expect(first.open_bandit.experiment).toBe('another-campaign');
  expect(first.checks.length).toBeGreaterThanOrEqual(8);
  expect(first.checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(first.events.accepted).toBe(first.events.sent);
  expect(first.events.rejected).toBe(0);
  expect(first.events.postgres).toBe(first.events.sent);
  expect(first.events.archive).toBe(first.events.sent);
  expect(first.events.sent).toBeGreaterThan(sliceRows);
  expect(first.assignments).toBe(sliceRows + 8);
  expect(first.training_rows).toBeGreaterThan(0);
  expect(first.dataset.rows).toBeGreaterThan(0);
  expect(first.dataset.object_key).toMatch(/training\.parquet$/);
  expect(first.seconds).toBeGreaterThan(0);

  const again = reportOf(await start(sliceFile));
  expect(listProcessesOf(localDir)).toEqual([]);
  // Seconds differ, and so does the day of the build when midnight has passed.
  const figuresOf = (report: Report) => ({ ...report, seconds: 0, dataset: { ...report.dataset, object_key: '' } });
  expect(figuresOf(again)).toEqual(figuresOf(first));
});

test('--keep leaves the system running for further runs, a broken file fails clearly, and npm run down stops all of it', async () => {
  const kept = await start(sliceFile, '--keep');
  expect(reportOf(kept).checks.filter(({ ok }) => !ok)).toEqual([]);
  const running = listProcessesOf(localDir);
  for (const part of ['kafka.Kafka', 'postgres', 's3proxy', 'apicurio', 'ingestion-service', 'parquet-archiver'])
    expect(
      running.some((line) => line.includes(part)),
      `${part} in\n${running.join('\n')}`,
    ).toBe(true);
  const url = /ingestion-service +(http:\S+)/.exec(kept.stdout)?.[1];
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  const brokenFile = join(folder, 'Broken Campaign.csv');
  const broken = [...slice];
  broken[700] = broken[700]!.replace(/^[^,]+,[^,]+,/, 'bts,yesterday,');
  await writeFile(brokenFile, `${broken.join('\n')}\n`);
  const failed = await start(brokenFile);
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain('Broken Campaign.csv:701:timestamp: expected a time such as');
  expect(failed.stderr).toContain('yesterday');
  expect(failed.stderr).not.toMatch(/^ +at /m);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  const down = await npm('run', 'down');
  expect(down.code, down.stderr).toBe(0);
  expect(listProcessesOf(localDir)).toEqual([]);
  await expect(fetch(`${url}/readyz`)).rejects.toThrow();
});
