// Results from real Postgres against the same numbers computed from the events one by one: every kind of metric, every exclusion.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { MetricBody } from '#domain/metrics/metric-body.ts';
import type { ExperimentResults } from '#domain/results/results.ts';
import { adjustForCovariate, estimateEffect } from '#domain/statistics/effect.ts';
import { momentsOf } from '#domain/statistics/moments.ts';
import { createRandom } from '#domain/statistics/random.ts';
import { ratioStatistic } from '#domain/statistics/ratio.ts';
import { isComputed, type Outcome } from '#domain/statistics/result.ts';
import { meanSample, proportionSample } from '#domain/statistics/sample.ts';
import { type Statistic, sampleStatistic } from '#domain/statistics/statistic.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { applyMetrics } from '#producers/definition-store/metric-rows.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { fillUnitTables, storeAssignments, storeEvents, type TestEvent } from '#tests/support/results-data.ts';
import { type ResultsOptions, readResults } from './read-results.ts';

const author = { actor: 'test', reason: 'a test' };
const startMs = Date.UTC(2026, 2, 2);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

let database: TestDatabase;
let analyst: Pool;
let number = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  analyst = database.poolAs('analyst');
});
afterAll(() => database.drop());
beforeEach(() => database.pool.query('TRUNCATE exp.assignments, exp.events, exp.excluded_units'));

function value<T>(outcome: Outcome<T> | undefined): T {
  if (outcome === undefined || !isComputed(outcome)) throw new Error(outcome?.detail ?? 'missing');
  return outcome;
}

const metrics: readonly MetricBody[] = [
  { name: 'total', kind: 'sum', of: 'spent' },
  { name: 'capped', kind: 'sum', of: 'spent', cap: { quantile: 0.9 } },
  { name: 'own_mean', kind: 'mean', of: 'spent' },
  { name: 'big_spender', kind: 'proportion', of: 'spent', at_least: 4 },
  { name: 'per_event', kind: 'ratio', numerator: 'spent', denominator: { metric: 'spent', take: 'count' } },
  { name: 'per_visit', kind: 'ratio', numerator: 'spent', denominator: { metric: 'pages', take: 'count' } },
  { name: 'p50', kind: 'quantile', of: 'spent', level: 0.5 },
  { name: 'back_in_week_two', kind: 'conversion', event_type: 'visit', from: '7d', within: '14d' },
];

async function createRunning(change: Partial<DefinitionBody> = {}): Promise<Experiment> {
  number += 1;
  const body: DefinitionBody = {
    key: `results-${number}`,
    unit_type: 'user',
    status: 'running',
    metrics: { primary: 'total', secondary: metrics.slice(1).map(({ name }) => name) },
    variants: [
      { name: 'control', allocation: 0.5, is_control: true },
      { name: 'treatment', allocation: 0.5 },
    ],
    ...change,
  };
  return inTransaction(database.pool, async (tx) => {
    await applyMetrics(tx, metrics, author);
    const result = await applyDefinition(tx, body, author);
    if (!('experiment' in result)) throw new Error(JSON.stringify(result));
    await tx.query(`UPDATE exp.experiment_versions SET changed_at = $2 WHERE experiment_id = $1`, [
      result.experiment.experimentId,
      new Date(startMs - dayMs),
    ]);
    return result.experiment;
  });
}

type Unit = { id: string; variantId: string; exposedAtMs: number; events: TestEvent[]; before: TestEvent[] };

/** Units with an exposure, visits after it with amounts, and visits before it that the amounts depend on. */
function drawUnits(experiment: Experiment, count: number, lift = 1): Unit[] {
  const random = createRandom(7);
  return Array.from({ length: count }, (_, index) => {
    const id = `unit-${index}`;
    const isTreated = index % 2 === 1;
    const variantId = experiment.variants[isTreated ? 1 : 0]!.variantId as string;
    const exposedAtMs = startMs + Math.floor(random.next() * 5 * dayMs);
    const habit = 1 + 3 * random.next();
    const visit = (atMs: number, factor: number): TestEvent => ({
      unitId: id,
      variantId,
      type: 'visit',
      atMs,
      metrics: {
        pages: 1 + random.integer(5),
        ...(random.next() < 0.8 ? { spent: habit * factor * (0.5 + 1.5 * random.next()) } : {}),
      },
    });
    const visits = random.integer(5);
    const exposure = {
      unitId: id,
      variantId,
      type: 'exposure',
      atMs: exposedAtMs,
      context: { plan: index % 3 === 0 ? 'free' : 'paid' },
    };
    return {
      id,
      variantId,
      exposedAtMs,
      events: [
        exposure,
        ...Array.from({ length: visits }, () =>
          visit(exposedAtMs + Math.floor(random.next() * 20 * dayMs), isTreated ? lift : 1),
        ),
      ],
      before: Array.from({ length: 3 }, (_, day) => visit(exposedAtMs - (day + 1) * dayMs - hourMs, 1)),
    };
  });
}

async function store(experiment: Experiment, units: readonly Unit[]): Promise<void> {
  const { experimentId } = experiment;
  await storeAssignments(
    database.pool,
    experimentId,
    units.map(({ id, variantId, exposedAtMs }) => ({ unitId: id, variantId, atMs: exposedAtMs - 1 })),
  );
  await storeEvents(
    database.pool,
    experimentId,
    units.flatMap(({ events, before }) => [...events, ...before]),
  );
  await fillUnitTables(database.pool);
}

async function read(experiment: Experiment, options: ResultsOptions = {}): Promise<ExperimentResults> {
  const results = await readResults(analyst, experiment.experimentId, options);
  if (results === null) throw new Error('no results');
  return results;
}

const amounts = (events: readonly TestEvent[], name: string): number[] =>
  events.flatMap(({ metrics: values }) => (values?.[name] === undefined ? [] : [values[name]]));
const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);
const sampleOf = (values: readonly number[]) => meanSample(momentsOf(values));
const coMoment = (xs: readonly number[], ys: readonly number[]): number => {
  const [a, b] = [momentsOf(xs).mean, momentsOf(ys).mean];
  return sum(xs.map((x, i) => (x - a) * (ys[i]! - b)));
};
const ratioOf = (xs: readonly number[], ys: readonly number[]): Statistic =>
  ratioStatistic({ numerator: sampleOf(xs), denominator: sampleOf(ys), coMoment: coMoment(xs, ys) });

/** The statistics of one variant, from its events one by one. */
function statisticsOf(units: readonly Unit[], allUnits: readonly Unit[]): Record<string, Statistic> {
  const spent = (unit: Unit): number[] => amounts(unit.events, 'spent');
  const totals = units.map((unit) => sum(spent(unit)));
  const ranked = allUnits.map((unit) => sum(spent(unit))).sort((a, b) => a - b);
  const cap = ranked[Math.ceil(0.9 * ranked.length) - 1]!;
  const counts = units.map((unit) => spent(unit).length);
  return {
    total: sampleStatistic(sampleOf(totals)),
    capped: sampleStatistic(sampleOf(totals.map((total) => Math.min(total, cap)))),
    own_mean: sampleStatistic(
      sampleOf(units.filter((unit) => spent(unit).length > 0).map((unit) => sum(spent(unit)) / spent(unit).length)),
    ),
    big_spender: sampleStatistic(
      proportionSample({
        count: units.length,
        successes: units.filter((unit) => Math.max(0, ...spent(unit)) >= 4).length,
      }),
    ),
    per_event: ratioOf(totals, counts),
    per_visit: ratioOf(
      totals,
      units.map((unit) => amounts(unit.events, 'pages').length),
    ),
  };
}

function expectSameEffects(results: ExperimentResults, experiment: Experiment, units: readonly Unit[]): void {
  const [control, treatment] = experiment.variants.map(({ variantId }) =>
    statisticsOf(
      units.filter((unit) => unit.variantId === variantId),
      units,
    ),
  );
  for (const name of Object.keys(control!)) {
    const expected = value(estimateEffect(control![name]!, treatment![name]!, { scale: 'relative' }));
    const found = value(results.metrics.find((metric) => metric.name === name)!.comparisons[0]!.effect);
    expect(found.estimate, name).toBeCloseTo(expected.estimate, 9);
    expect(found.standardError, name).toBeCloseTo(expected.standardError, 9);
  }
}

test('every kind of metric has the effect and the standard error that the events give one by one', async () => {
  const experiment = await createRunning();
  const units = drawUnits(experiment, 300, 1.2);
  await store(experiment, units);
  const results = await read(experiment);
  expect(results.units).toMatchObject({
    analyzed: 300,
    excluded: 0,
    assignedWithoutExposure: 0,
    contradictingEvents: 0,
  });
  expectSameEffects(results, experiment, units);

  const report = (name: string) => results.metrics.find((metric) => metric.name === name)!;
  const values = units
    .filter(({ variantId }) => variantId === experiment.variants[0]!.variantId)
    .flatMap((unit) => amounts(unit.events, 'spent'))
    .sort((a, b) => a - b);
  expect(value(report('p50').values[0]!.value).value).toBe(values[Math.ceil(values.length / 2) - 1]);

  const horizonMs = Math.max(...units.flatMap(({ events }) => events.map(({ atMs }) => atMs)));
  const closed = units.filter(({ exposedAtMs }) => exposedAtMs + 14 * dayMs <= horizonMs);
  const returned = (unit: Unit): boolean =>
    unit.events.some(
      ({ type, atMs }) =>
        type === 'visit' && atMs >= unit.exposedAtMs + 7 * dayMs && atMs < unit.exposedAtMs + 14 * dayMs,
    );
  for (const { variantId, value: found } of report('back_in_week_two').values) {
    const ofVariant = closed.filter((unit) => unit.variantId === variantId);
    expect(value(found)).toMatchObject({ count: ofVariant.length });
    expect(value(found).value).toBeCloseTo(ofVariant.filter(returned).length / ofVariant.length, 12);
  }
  expect(results.sampleRatio.exposed).toMatchObject({ units: 300, chiSquare: { pValue: 1 } });
});

test('units that met two variants, contradict their assignment, are forced or in conflict are left out and counted', async () => {
  const experiment = await createRunning({ forced_variants: { 'unit-7': 'treatment' } });
  const units = drawUnits(experiment, 200, 1.2);
  const [control, treatment] = experiment.variants.map(({ variantId }) => variantId as string);
  await store(experiment, units);
  const exposure = (unitId: string, variantId: string, atMs: number): TestEvent => ({
    unitId,
    variantId,
    type: 'exposure',
    atMs,
  });
  await storeEvents(database.pool, experiment.experimentId, [
    exposure('unit-0', treatment!, startMs + dayMs),
    // Assigned, and only ever exposed to the other variant.
    exposure('wrong', control!, startMs),
    // Never assigned, so no event of its own contradicts anything.
    exposure('local', control!, startMs),
    exposure('local-both', control!, startMs),
    exposure('local-both', treatment!, startMs + 1),
    // One event that names the other variant without an exposure: it counts for nobody, the unit stays.
    { unitId: 'unit-2', variantId: treatment!, type: 'visit', atMs: startMs + 9 * dayMs, metrics: { spent: 1e6 } },
  ]);
  await storeAssignments(database.pool, experiment.experimentId, [
    { unitId: 'wrong', variantId: treatment!, atMs: startMs },
    { unitId: 'never-exposed', variantId: treatment!, atMs: startMs },
  ]);
  await database.pool.query(
    `INSERT INTO exp.excluded_units (experiment_id, unit_id, reason) VALUES ($1, 'unit-4', 'identity-conflict')`,
    [experiment.experimentId],
  );
  await fillUnitTables(database.pool);
  const results = await read(experiment);
  expect(results.units).toMatchObject({
    analyzed: 198,
    excluded: 5,
    assignedWithoutExposure: 2,
    contradictingEvents: 2,
  });
  expect(results.units.excludedByReason).toEqual([
    { reason: 'met-two-variants', units: 2 },
    { reason: 'contradicts-assignment', units: 2 },
    { reason: 'forced', units: 1 },
    { reason: 'identity-conflict', units: 1 },
  ]);
  const gone = new Set(['unit-0', 'unit-4', 'unit-7']);
  const local = { id: 'local', variantId: control!, exposedAtMs: startMs, events: [], before: [] };
  expectSameEffects(results, experiment, [...units.filter(({ id }) => !gone.has(id)), local]);
});

test('a unit in two experiments of one layer is left out of the results of both', async () => {
  const left = await createRunning({ layer: { id: 'shared', start: 0, end: 0.5 } });
  const right = await createRunning({ layer: { id: 'shared', start: 0.5, end: 1 } });
  const elsewhere = await createRunning();
  for (const experiment of [left, right, elsewhere]) await store(experiment, drawUnits(experiment, 20));
  await database.pool.query(
    "DELETE FROM exp.assignments WHERE experiment_id = $1 AND unit_id NOT IN ('unit-1', 'unit-2')",
    [right.experimentId],
  );
  // By hash no unit would be in both, and a test unit may be.
  await database.pool.query(
    "UPDATE exp.assignments SET source = 'inherited' WHERE experiment_id = $1 AND unit_id = 'unit-1'",
    [right.experimentId],
  );
  await database.pool.query(
    "UPDATE exp.assignments SET source = 'forced' WHERE experiment_id = $1 AND unit_id = 'unit-2'",
    [right.experimentId],
  );
  await fillUnitTables(database.pool);
  const reasonsIn = async (experiment: Experiment) => (await read(experiment)).units.excludedByReason;
  const inBoth = { reason: 'in-two-experiments-of-a-layer', units: 1 };
  expect(await reasonsIn(left)).toEqual([inBoth]);
  expect(await reasonsIn(right)).toEqual(expect.arrayContaining([inBoth, { reason: 'forced', units: 1 }]));
  expect(await reasonsIn(elsewhere)).toEqual([]);
});

test('a change of coverage makes strata of assignment periods, so that a mix that changes cannot pass for an effect', async () => {
  const experiment = await createRunning({ coverage: 0.2 });
  const [control, treatment] = experiment.variants.map(({ variantId }) => variantId as string);
  const rampMs = startMs + 3 * dayMs;
  await database.pool.query(
    `INSERT INTO exp.experiment_versions (experiment_id, version, changed_at, changed_by, reason, diff, definition)
     SELECT experiment_id, 2, $2, 'test', 'ramp', '[]', definition || '{"coverage": 0.9}' FROM exp.experiment_versions WHERE experiment_id = $1`,
    [experiment.experimentId, new Date(rampMs)],
  );
  // Before the ramp everybody spends 10 and most are treated; after it 2, and few are: without strata the treatment looks dear.
  const of = (count: number, variantId: string, atMs: number, spent: number): TestEvent[] =>
    Array.from({ length: count }, (_, index) => ({ id: `${variantId.slice(-3)}-${atMs}-${index}`, index })).flatMap(
      ({ id, index }) => [
        { unitId: id, variantId, type: 'exposure', atMs: atMs + index },
        { unitId: id, variantId, type: 'visit', atMs: atMs + index + 1, metrics: { spent: spent + (index % 3) } },
      ],
    );
  const events = [
    ...of(100, control!, startMs, 10),
    ...of(400, treatment!, startMs, 10),
    ...of(400, control!, rampMs, 2),
    ...of(100, treatment!, rampMs, 2),
  ];
  await storeAssignments(
    database.pool,
    experiment.experimentId,
    events
      .filter(({ type }) => type === 'exposure')
      .map(({ unitId, variantId, atMs }) => ({ unitId, variantId, atMs })),
  );
  await storeEvents(database.pool, experiment.experimentId, events);
  await fillUnitTables(database.pool);
  const results = await read(experiment);
  expect(results.periods.map(({ coverage, units }) => [coverage, units])).toEqual([
    [0.2, 500],
    [0.9, 500],
  ]);
  const total = value(results.metrics[0]!.comparisons[0]!.effect);
  expect(Math.abs(total.estimate)).toBeLessThan(0.02);
  // Each period planned halves and got something else: both are evidence.
  expect(value(results.sampleRatio.exposed.chiSquare)).toMatchObject({ degreesOfFreedom: 2 });
  expect(results.decisions[0]!.status).toBe('invalid: sample ratio');
});

test('analysis ends for everybody when delivery deviates, and units first exposed meanwhile do not count', async () => {
  const experiment = await createRunning();
  const units = drawUnits(experiment, 200, 1.3);
  const endsMs = startMs + 4 * dayMs;
  await store(experiment, units);
  await database.pool.query(
    `INSERT INTO exp.experiment_versions (experiment_id, version, changed_at, changed_by, reason, diff, definition)
     SELECT experiment_id, 2, $2, 'test', 'rollback', '[]', definition || '{"serving": {"mode": "off"}}' FROM exp.experiment_versions
     WHERE experiment_id = $1`,
    [experiment.experimentId, new Date(endsMs)],
  );
  const results = await read(experiment);
  const analyzed = units
    .filter(({ exposedAtMs }) => exposedAtMs < endsMs)
    .map((unit) => ({ ...unit, events: unit.events.filter(({ atMs }) => atMs < endsMs) }));
  expect(results.analysisEndedAt).toBe(new Date(endsMs).toISOString());
  expect(results.units).toMatchObject({
    analyzed: analyzed.length,
    excludedByReason: [{ reason: 'exposed-while-not-as-assigned', units: 200 - analyzed.length }],
  });
  expectSameEffects(results, experiment, analyzed);

  // Retention took the first day: what is computed from events is no longer known, and says so.
  await database.pool.query('DELETE FROM exp.events WHERE event_date = $1', ['2026-03-02']);
  const after = await read(experiment);
  const effect = after.metrics[0]!.comparisons[0]!.effect;
  expect(effect).toMatchObject({
    status: 'not-computable',
    detail: expect.stringContaining('have no stored exposure'),
  });
});

test('CUPED takes what units did before their first exposure, and narrows the interval', async () => {
  const experiment = await createRunning({ analysis: { covariate_days: 14 } });
  const units = drawUnits(experiment, 400, 1.1);
  await store(experiment, units);
  const results = await read(experiment);
  const statisticOf = (variantId: string): Statistic => {
    const ofVariant = units.filter((unit) => unit.variantId === variantId);
    const post = ofVariant.map((unit) => sum(amounts(unit.events, 'spent')));
    // Days before that of the exposure only: what happened on the same day may be either side of it.
    const pre = ofVariant.map((unit) =>
      sum(
        amounts(
          unit.before.filter(({ atMs }) => Math.floor(atMs / dayMs) < Math.floor(unit.exposedAtMs / dayMs)),
          'spent',
        ),
      ),
    );
    return {
      kind: 'cuped',
      count: ofVariant.length,
      post: sampleOf(post),
      pre: sampleOf(pre),
      coMoment: coMoment(post, pre),
      theta: null,
    };
  };
  const [control, treatment] = experiment.variants.map(({ variantId }) => statisticOf(variantId));
  const expected = value(estimateEffect(...adjustForCovariate(control!, treatment!), { scale: 'relative' }));
  const found = results.metrics[0]!.comparisons[0]!;
  expect(value(found.effect).estimate).toBeCloseTo(expected.estimate, 9);
  expect(value(found.effect).standardError).toBeCloseTo(expected.standardError, 9);
  expect(found.varianceReduction).toBeGreaterThan(0.02);
  for (const metric of results.metrics) expect(metric.comparisons[0]!.effect.status, metric.name).toBe('computed');
});

test('a history ends at the overall effect, segments hold every unit once, and both agree with the whole', async () => {
  const experiment = await createRunning({ analysis: { segments: ['plan'] } });
  const units = drawUnits(experiment, 300, 1.2);
  await store(experiment, units);
  const results = await read(experiment, { history: true, segments: true });
  const total = results.metrics[0]!.comparisons[0]!;
  expect(total.history.map(({ units: count }) => count).at(-1)).toBe(300);
  expect(value(total.history.at(-1)!.effect).estimate).toBeCloseTo(value(total.effect).estimate, 9);
  expect(new Set(total.history.map(({ day }) => day)).size).toBe(5);
  expect(total.segments).toMatchObject([
    {
      attribute: 'plan',
      segments: [
        { segment: 'free', units: 100 },
        { segment: 'paid', units: 200 },
      ],
    },
  ]);
  expect(value(total.segments[0]!.heterogeneity).degreesOfFreedom).toBe(1);
});

test('an experiment without units has no numbers, and says why', async () => {
  const experiment = await createRunning();
  await fillUnitTables(database.pool);
  const results = await read(experiment);
  expect(results.units).toMatchObject({ analyzed: 0, excluded: 0 });
  for (const { name, comparisons } of results.metrics) {
    expect(comparisons[0]!.effect, name).toMatchObject({ status: 'not-computable', reason: 'no-data' });
  }
  expect(results.decisions[0]).toMatchObject({ status: 'keep running' });
  expect(await readResults(analyst, 'nobody')).toBeNull();
});
