// The module as it is published: small, made of nothing but domain rules, equal to the service on all vectors, usable from a project.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import vectors from '../../domain/assignment/vectors.json' with { type: 'json' };
import { type Bundle, bundle } from './build.ts';
import { sampleDefinition } from './client-samples.ts';

type ClientModule = typeof import('./trialstream.ts');

const maxBytes = 7_000;
const root = join(import.meta.dirname, '..', '..');
let folder: string;
let built: Bundle;
let client: ClientModule;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trialstream-client-'));
  built = await bundle();
  const file = join(folder, 'trialstream.mjs');
  await writeFile(file, built.code);
  client = (await import(pathToFileURL(file).href)) as ClientModule;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test(`it has at most ${maxBytes} bytes, minified and gzipped`, () => {
  const bytes = gzipSync(built.code, { level: 9 }).length;
  process.stdout.write(`client: ${built.code.length} bytes minified, ${bytes} gzipped\n`);
  expect(bytes).toBeLessThanOrEqual(maxBytes);
});

test('it holds only the client and rules of the domain, and imports nothing', () => {
  const foreign = built.modules
    .map((file) => relative(root, file))
    .filter((file) => !/^(clients\/typescript|domain)\//.test(file));
  expect(foreign).toEqual([]);
  expect(built.code).not.toMatch(/\bimport\b|\brequire\(/);
});

describe('vectors', () => {
  type Row = readonly unknown[];
  const definitionOf = (experimentId: unknown, allocations: readonly number[], coverage: number) =>
    sampleDefinition({
      experiment_id: String(experimentId),
      coverage_basis_points: coverage,
      variants: allocations.map((allocation, index) => ({
        variant_id: String(index),
        name: String(index),
        is_control: false,
        allocation_basis_points: allocation,
        config: {},
      })),
    });
  const decide = (definition: ReturnType<typeof sampleDefinition>, unitId: unknown, context = {}) => {
    const instance = client.createClient({ definitions: { etag: '', experiments: [definition] } });
    return instance.evaluate(definition.key, { unitType: 'user', unitId: String(unitId), context });
  };
  /** All rows of a section for which the bundle says something else than the vectors. */
  const findWrong = (rows: readonly Row[], isRight: (row: Row) => boolean): Row[] => {
    expect(rows.length).toBeGreaterThan(50);
    return rows.filter((row) => !isRight(row));
  };

  test('the bucket of a unit, non-ASCII ids included', () => {
    const rows = vectors.bucket.rows as Row[];
    expect(rows.some(([, unitId]) => /[^\u0020-\u007f]/.test(String(unitId)))).toBe(true);
    const wrong = findWrong(
      rows,
      ([id, unitId, bucket]) => decide(definitionOf(id, [], 0), unitId).hashBucket === bucket,
    );
    expect(wrong).toEqual([]);
  });

  test('the variant of a unit at a coverage', () => {
    const wrong = findWrong(vectors.variant.rows as Row[], ([id, unitId, allocations, coverage, index]) => {
      const { variantId } = decide(definitionOf(id, allocations as number[], coverage as number), unitId);
      return variantId === (index === null ? null : String(index));
    });
    expect(wrong).toEqual([]);
  });

  test('layers and holdouts', () => {
    const wrongLayers = findWrong(vectors.layer.rows as Row[], ([id, unitId, , start, end, isInRange]) => {
      const layer = { id: String(id), start: start as number, end: end as number };
      return (decide(sampleDefinition({ layer }), unitId).reason !== 'outside-layer') === isInRange;
    });
    const wrongHoldouts = findWrong(vectors.holdout.rows as Row[], ([id, unitId, , share, isHeldOut]) => {
      const holdout = { id: String(id), share_basis_points: share as number };
      return (decide(sampleDefinition({ holdout }), unitId).reason === 'held-out') === isHeldOut;
    });
    expect([wrongLayers, wrongHoldouts]).toEqual([[], []]);
  });
});

test('a project that installs the package can use it, with types', { timeout: 60_000 }, async () => {
  const project = join(folder, 'project');
  await mkdir(join(project, 'node_modules', '@trialstream', 'client'), { recursive: true });
  const npm = (args: string[], cwd: string): string =>
    execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const [packed] = JSON.parse(npm(['pack', '--json', '--pack-destination', folder], import.meta.dirname)) as {
    filename: string;
    files: { path: string }[];
  }[];
  expect(packed?.files.map(({ path }) => path).sort()).toEqual([
    'README.md',
    'dist/sticky-store.d.ts',
    'dist/trialstream.d.ts',
    'dist/trialstream.js',
    'dist/types.d.ts',
    'package.json',
  ]);
  execFileSync('tar', [
    ...['-xzf', join(folder, packed!.filename), '--strip-components=1'],
    ...['-C', join(project, 'node_modules', '@trialstream', 'client')],
  ]);
  await writeFile(join(project, 'package.json'), '{"type":"module"}');
  await writeFile(
    join(project, 'use.ts'),
    `import { createClient } from '@trialstream/client';
const client = createClient<{ 'checkout-button': { color: string } }>({ definitions: { etag: '', experiments: [] } });
const decision = client.evaluate('checkout-button', { unitType: 'user', unitId: 'u1' });
const color: string = decision.config?.params.color ?? decision.reason;
// @ts-expect-error: not an experiment
client.evaluate('another', { unitType: 'user', unitId: 'u1' });
// @ts-expect-error: not a number
const size: number = decision.config?.params.color ?? 1;
(globalThis as unknown as { process: { stdout: { write(text: string): void } } }).process.stdout.write(color + String(size).slice(9));
`,
  );
  const strict = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2022,dom',
    '--types',
    '',
    '--noEmit',
  ];
  execFileSync(join(root, 'node_modules', '.bin', 'tsc'), [...strict, 'use.ts'], { cwd: project, stdio: 'pipe' });
  expect(execFileSync(process.execPath, ['use.ts'], { cwd: project, encoding: 'utf8' })).toBe('unknown-experiment');
});
