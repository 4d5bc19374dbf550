// `ops off-policy open-bandit` on the rows of the real file: the estimate from the random log holds the measured rate of the other policy.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { readImpressions } from '#producers/open-bandit/open-bandit-file.ts';
import { planOpenBandit } from '#producers/open-bandit/run-open-bandit.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { storeEvents, type TestEvent } from '#tests/support/results-data.ts';

const path = new URL('../../data/open-bandit-men.csv.gz', import.meta.url).pathname;
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  const { definition } = await planOpenBandit(path);
  const result = await inTransaction(database.pool, (tx) =>
    applyDefinition(
      tx,
      { ...definition, variants: definition.variants.map((variant) => ({ ...variant, config: { params: {} } })) },
      { actor: 'test', reason: 'a test' },
    ),
  );
  if (!('experiment' in result)) throw new Error(JSON.stringify(result));
  const { experiment } = result;
  const idOf = new Map(experiment.variants.map(({ name, variantId }) => [name, variantId as string]));
  const events: TestEvent[] = [];
  for await (const impression of readImpressions(path)) {
    events.push({
      unitId: String(impression.rowNumber),
      variantId: idOf.get(impression.policy)!,
      type: 'impression',
      atMs: Date.parse(impression.timestamp),
      metrics: { click: impression.click },
      context: {
        item_id: impression.itemId,
        position: impression.position,
        action_propensity: impression.actionPropensity,
      },
    });
  }
  await storeEvents(database.pool, experiment.experimentId, events, 'impression');
});
afterAll(() => database?.drop());

const ops = (...args: string[]): Promise<string> =>
  runOwnProgram('ops/main.ts', ['off-policy', 'open-bandit', '--samples', '200', ...args], {
    PATH: process.env.PATH ?? '',
    POSTGRES_URL: database.urlAs('operator'),
  });

test('the click rate of bts, estimated from what random showed, holds the measured one', async () => {
  const { measured, estimates } = JSON.parse(await ops('--json')) as {
    measured: { value: number; impressions: number };
    estimates: {
      estimator: string;
      value: { interval: { lower: number; upper: number }; overlap: { effective_sample_size: number } };
    }[];
  };
  expect(measured).toMatchObject({ value: 0.0069, impressions: 10_000 });
  const { interval, overlap } = estimates.find(({ estimator }) => estimator === 'snips')!.value;
  expect(interval.lower).toBeLessThan(measured.value);
  expect(interval.upper).toBeGreaterThan(measured.value);
  expect(overlap.effective_sample_size).toBeGreaterThan(1_000);
  const text = await ops();
  expect(text).toContain('measured click rate of bts: 0.69 %');
  expect(text).toMatch(/snips +0\.574 % .*holds the measured rate/);
  await expect(ops('--experiment', 'nothing')).rejects.toThrow('experiment nothing has no impressions');
});
