// Checks the sink against a fake store: the order of its steps, duplicates, and that any order of arrival gives the same rows.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { Tally } from './aggregate-rows.ts';
import { createMemoryStore, type MemoryTables } from './aggregate-store-memory.ts';
import {
  eventLists,
  explicitExperiment,
  implicitExperiment,
  midnightMs,
  shuffledBatches,
  toBatch,
  variants,
} from './event-arbitraries.ts';
import { createKnownExposures } from './known-exposures.ts';
import { createMetricsAggregatorSink } from './sink.ts';
import { largestMetricMagnitude } from './transform.ts';

const noTransaction = {} as PoolClient;

function createHarness(knownCapacity = 100) {
  const { store, tables, actions } = createMemoryStore();
  const pool = {
    query: async (_text: string, values: readonly unknown[]) => {
      actions.push(`ensure day ${String(values[0])}`);
      return { rows: [] };
    },
  };
  const sink = createMetricsAggregatorSink({
    pool: pool as never,
    store,
    exposureRules: {
      refresh: async (ids) => void actions.push(`refresh ${[...ids].length}`),
      isImplicit: (id) => id === implicitExperiment,
    },
    knownExposures: createKnownExposures(knownCapacity),
  });
  const deliver = async (events: readonly EventRecord[]) => {
    const batch = toBatch(events);
    await sink.prepare?.(batch);
    const result = await sink.write(noTransaction, batch);
    actions.push('commit');
    sink.committed?.(batch);
    return result;
  };
  return { deliver, sink, tables, actions };
}

/** The definition, applied to all events at once, without any of the sink's steps. */
function recountUnits(all: readonly EventRecord[]) {
  const distinct = new Map(all.map((event) => [event.event_id + Math.floor(event.event_time / 86_400_000), event]));
  const firstExposures = new Map<string, number>();
  const entries = [...distinct.values()].flatMap((event) =>
    event.experiments.map((ref) => ({ event, key: `${ref.experiment_id} ${ref.variant_id} ${event.unit_id}`, ref })),
  );
  for (const { event, key, ref } of entries) {
    if (event.event_type !== 'exposure' && ref.experiment_id !== implicitExperiment) continue;
    firstExposures.set(key, Math.min(firstExposures.get(key) ?? Number.POSITIVE_INFINITY, event.event_time));
  }
  const unitMetrics = new Map<string, number[]>();
  let waiting = 0;
  for (const { event, key } of entries) {
    for (const [metricName, value] of Object.entries(event.metrics)) {
      if (event.event_time < (firstExposures.get(key) ?? Number.POSITIVE_INFINITY)) waiting += 1;
      else unitMetrics.set(`${key} ${metricName}`, [...(unitMetrics.get(`${key} ${metricName}`) ?? []), value]);
    }
  }
  return { distinctCount: distinct.size, firstExposures, unitMetrics, waiting };
}

function expectTally(actual: Tally | undefined, values: readonly number[]): void {
  expect(actual).toMatchObject({ count: values.length, min: Math.min(...values), max: Math.max(...values) });
  const magnitude = values.reduce((sum, value) => sum + Math.abs(value), 0);
  expect(Math.abs(actual!.sum - values.reduce((sum, value) => sum + value, 0))).toBeLessThanOrEqual(1e-9 * magnitude);
}

const withoutSums = (tables: MemoryTables) => ({
  firstExposures: [...tables.firstExposures].sort(),
  pending: [...tables.pending.keys()].sort(),
  bins: [...tables.bins].sort(),
  counts: [tables.unitMetrics, tables.unitDays, tables.windows].map((table) =>
    [...table].map(([key, row]) => [key, row.count, row.min, row.max]).sort(),
  ),
});

const purchase = (change: Partial<EventRecord> = {}): EventRecord => ({
  event_id: '00000000-0000-4000-8000-000000000001',
  event_type: 'purchase',
  unit_type: 'user',
  unit_id: 'u1',
  experiments: [{ experiment_id: explicitExperiment, variant_id: variants[0] }],
  context: {},
  metrics: { revenue: 5 },
  payload: null,
  event_time: midnightMs + 1000,
  ingest_time: midnightMs + 1000,
  producer: 'test',
  ...change,
});
const exposure = (change: Partial<EventRecord> = {}): EventRecord =>
  purchase({ event_id: '00000000-0000-4000-8000-000000000002', event_type: 'exposure', metrics: {}, ...change });

describe('the steps of a flush', () => {
  it('make the day and read definitions first, claim next, and write the contended rows last', async () => {
    const { deliver, actions } = createHarness();
    await deliver([purchase(), exposure()]);
    expect(actions).toEqual([
      'ensure day 2026-03-02',
      'refresh 1',
      'claim 2',
      'find first exposures 1',
      'lower first exposures 1',
      'release pending 1',
      'add unit metrics 1',
      'add unit days 1',
      'add windows 2',
      'add bins 2',
      'commit',
    ]);
  });

  it('leave first exposures alone for a unit whose exposure is committed and earlier', async () => {
    const { deliver, actions } = createHarness();
    await deliver([exposure()]);
    actions.length = 0;
    await deliver([purchase({ event_time: midnightMs + 2000 })]);
    expect(actions).toEqual([
      'refresh 1',
      'claim 1',
      'add unit metrics 1',
      'add unit days 1',
      'add windows 2',
      'add bins 2',
      'commit',
    ]);
  });

  it('do not trust a first exposure whose transaction did not commit', async () => {
    const { sink, deliver, actions, tables } = createHarness();
    await sink.write(noTransaction, toBatch([exposure()]));
    tables.claims.clear();
    tables.firstExposures.clear();
    actions.length = 0;
    await deliver([purchase()]);
    expect(actions).toContain('find first exposures 1');
    expect(tables.pending.size).toBe(1);
    expect(tables.unitMetrics.size).toBe(0);
  });

  it('write nothing for a batch of duplicates', async () => {
    const { deliver, actions } = createHarness();
    await deliver([purchase()]);
    actions.length = 0;
    expect(await deliver([purchase(), purchase()])).toMatchObject({ written: 0, duplicates: 2 });
    expect(actions).toEqual(['refresh 1', 'claim 1', 'commit']);
  });
});

describe('what counts', () => {
  it('counts an event once within a batch, and again on another day', async () => {
    const { deliver, tables } = createHarness();
    const result = await deliver([purchase(), purchase(), purchase({ event_time: midnightMs - 1 })]);
    expect(result).toEqual({ written: 2, duplicates: 1, rejected: [] });
    expect(tables.unitDays.get(`user u1 revenue ${midnightMs}`)).toEqual({ count: 1, sum: 5, min: 5, max: 5 });
    expect(tables.unitDays.get(`user u1 revenue ${midnightMs - 86_400_000}`)?.count).toBe(1);
  });

  it('gives events without experiments to the days of the unit only', async () => {
    const { deliver, tables } = createHarness();
    await deliver([purchase({ experiments: [] })]);
    expect(tables.unitDays.size).toBe(1);
    expect([tables.windows.size, tables.unitMetrics.size, tables.pending.size]).toEqual([0, 0, 0]);
  });

  it('lets a value wait until an exposure at or before it arrives', async () => {
    const { deliver, tables } = createHarness();
    await deliver([purchase()]);
    await deliver([exposure({ event_time: midnightMs + 1001 })]);
    expect([tables.pending.size, tables.unitMetrics.size]).toEqual([1, 0]);
    await deliver([exposure({ event_id: '00000000-0000-4000-8000-000000000003', event_time: midnightMs + 1000 })]);
    expect(tables.pending.size).toBe(0);
    expect([...tables.unitMetrics.values()]).toEqual([{ count: 1, sum: 5, min: 5, max: 5 }]);
  });

  it('refuses a metric whose square leaves the range of a double, and keeps the rest of the batch', async () => {
    const { deliver, tables } = createHarness();
    const event = purchase({ metrics: { revenue: 2 * largestMetricMagnitude } });
    const result = await deliver([event, purchase({ event_id: '00000000-0000-4000-8000-000000000009' })]);
    expect(result.written).toBe(1);
    expect(result.rejected.map(({ rejection }) => rejection)).toEqual([
      {
        stage: 'sink',
        reason: 'rule-violated',
        error: 'metrics.revenue is too large to be aggregated',
        eventId: event.event_id,
        experimentIds: [explicitExperiment],
      },
    ]);
    expect(tables.claims.size).toBe(1);
  });

  it('gives the same rows as a recount, for any order of arrival and any batches', async () => {
    await fc.assert(
      fc.asyncProperty(shuffledBatches, fc.integer({ min: 1, max: 5 }), async ({ events, batches }, capacity) => {
        const { deliver, tables } = createHarness(capacity);
        let written = 0;
        for (const batch of batches) {
          const result = await deliver(batch);
          expect(result.written + result.duplicates).toBe(batch.length);
          written += result.written;
        }
        const expected = recountUnits(events);
        expect(written).toBe(expected.distinctCount);
        expect(new Map([...tables.firstExposures].sort())).toEqual(new Map([...expected.firstExposures].sort()));
        expect(tables.pending.size).toBe(expected.waiting);
        expect(tables.unitMetrics.size).toBe(expected.unitMetrics.size);
        for (const [key, values] of expected.unitMetrics) expectTally(tables.unitMetrics.get(key), values);
      }),
      { seed: 20261124, numRuns: 400 },
    );
  });

  it('gives the same windows and bins in one batch as one event at a time', async () => {
    await fc.assert(
      fc.asyncProperty(eventLists, async (events) => {
        const whole = createHarness();
        const single = createHarness();
        await whole.deliver(events);
        for (const event of [...events].reverse()) await single.deliver([event]);
        expect(withoutSums(whole.tables)).toEqual(withoutSums(single.tables));
        for (const [key, { m2, mean, min, max, count }] of whole.tables.windows) {
          const other = single.tables.windows.get(key)!;
          const scale = Math.max(Math.abs(min), Math.abs(max));
          expect(Math.abs(mean - other.mean)).toBeLessThanOrEqual(1e-9 * scale + Number.MIN_VALUE);
          expect(Math.abs(m2 - other.m2)).toBeLessThanOrEqual(1e-9 * scale * scale * count + Number.MIN_VALUE);
        }
      }),
      { seed: 20261124, numRuns: 200 },
    );
  });
});
