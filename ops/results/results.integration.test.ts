// `ops results` and `ops guardrails` as a person runs them, on a database with a stopped experiment: text, JSON, report, clearing.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { fillUnitTables, storeAssignments, storeEvents, type TestEvent } from '#tests/support/results-data.ts';

let database: TestDatabase;
let folder: string;
let experimentId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'trialstream-results-'));
  const result = await inTransaction(database.pool, (tx) =>
    applyDefinition(
      tx,
      {
        key: 'checkout',
        name: 'Checkout <b>bold</b>',
        unit_type: 'user',
        status: 'running',
        metrics: { primary: 'sales', guardrails: [{ metric: 'latency' }] },
        analysis: { segments: ['country'] },
        variants: [
          { name: 'control', allocation: 0.5, is_control: true },
          { name: 'treatment', allocation: 0.5 },
        ],
      },
      { actor: 'test', reason: 'a test' },
    ),
  );
  if (!('experiment' in result)) throw new Error(JSON.stringify(result));
  const { experiment } = result;
  experimentId = experiment.experimentId;
  const startMs = Date.UTC(2026, 2, 2);
  const units = Array.from({ length: 240 }, (_, index) => ({
    unitId: `u-${index}`,
    variantId: experiment.variants[index % 2]!.variantId as string,
    atMs: startMs + index * 1_800_000,
  }));
  await storeAssignments(database.pool, experimentId, units);
  await storeEvents(
    database.pool,
    experimentId,
    units.flatMap(({ unitId, variantId, atMs }, index): TestEvent[] => [
      { unitId, variantId, type: 'exposure', atMs, context: { country: index % 3 === 0 ? 'NO' : 'SE' } },
      {
        unitId,
        variantId,
        type: 'order',
        atMs: atMs + 1,
        metrics: { sales: 10 + (index % 7), latency_ms: 900 + (index % 50) },
      },
    ]),
  );
  await fillUnitTables(database.pool);
});
afterAll(async () => {
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

const ops = (...args: string[]): Promise<string> =>
  runOwnProgram('ops/main.ts', args, {
    PATH: process.env.PATH ?? '',
    POSTGRES_URL: database.urlAs('operator'),
    OPS_ACTOR: 'ann',
  });

test('results are printed as text with the decision, as JSON, and as one page that needs nothing else', async () => {
  const text = await ops('results', 'checkout');
  expect(text).toContain('Units (user): 240 analyzed: control 120, treatment 120');
  expect(text).toContain('treatment against control: KEEP RUNNING');
  expect(text).toMatch(/sales +primary +1\d\.?\d* +1\d/);
  expect(JSON.parse(await ops('results', 'checkout', '--json'))).toMatchObject({
    units: { analyzed: 240 },
    decisions: [{ status: 'keep running' }],
  });
  const path = join(folder, 'report.html');
  await ops('results', experimentId, '--html', path);
  const page = await readFile(path, 'utf8');
  expect(page).toContain('Checkout &#60;b&#62;bold');
  expect(page).not.toMatch(/<script|https?:\/\/|<b>bold/);
  for (const part of ['Effects over time', 'Split over time', 'sales by country', 'class="interval"'])
    expect(page).toContain(part);
  await expect(ops('results', 'nobody')).rejects.toThrow('there is no experiment nobody');
});

test('a stopped experiment is listed with its evidence, and a person clears it with a reason', async () => {
  expect(await ops('guardrails', 'list')).toContain('no guardrail has stopped anything');
  await expect(ops('guardrails', 'list', 'nobody')).rejects.toThrow('there is no experiment nobody');
  await database.pool.query(
    `INSERT INTO exp.guardrail_actions (experiment_id, experiment_version, variant_id, metric_name, evidence)
     SELECT experiment_id, 2, id, 'latency', '{"summary": "latency of treatment is +60 %"}' FROM exp.variants WHERE name = 'treatment'`,
  );
  expect(await ops('guardrails', 'list', 'checkout')).toMatch(/checkout +1 .* stopped +latency of treatment is \+60 %/);
  expect(await ops('guardrails', 'clear', 'checkout', '--reason', 'a network outage')).toContain('cleared: checkout');
  expect(await ops('guardrails', 'list')).toContain('cleared by ann: a network outage');
  await expect(ops('guardrails', 'clear', 'checkout', '--reason', 'again')).rejects.toThrow(
    'no guardrail holds checkout',
  );
});
