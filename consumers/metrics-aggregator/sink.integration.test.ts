// Checks the sink on real Postgres with the rights of its role: any order equals the recount, members that share keys, quantiles.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { binOf, quantile, SKETCH_RELATIVE_ACCURACY, sketchOf, valueOfBin } from '#domain/statistics/sketch.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { eventTypes } from '#schemas/event-types.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createAggregateStore } from './aggregate-store-postgres.ts';
import {
  explicitExperiment,
  implicitExperiment,
  midnightMs,
  shuffledBatches,
  toBatch,
  variants,
} from './event-arbitraries.ts';
import { createExposureRules } from './exposure-rules.ts';
import { createKnownExposures } from './known-exposures.ts';
import { createMetricsAggregatorSink } from './sink.ts';

const recountSql = readFileSync(new URL('../../analytics/recount.sql', import.meta.url), 'utf8');
const dayMs = 86_400_000;

let database: TestDatabase;
let memberPool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  memberPool = database.poolAs('metrics_aggregator', 6);
  await database.pool.query(
    `INSERT INTO exp.experiments (id, key, name, unit_type, exposure)
     VALUES ($1, 'explicit', 'explicit', 'user', 'explicit'), ($2, 'implicit', 'implicit', 'user', 'implicit')`,
    [explicitExperiment, implicitExperiment],
  );
  for (let day = -2; day <= 3; day += 1) {
    const date = new Date(midnightMs + day * dayMs).toISOString().slice(0, 10);
    await database.pool.query('SELECT exp.ensure_event_day($1)', [date]);
  }
});
afterAll(() => database.drop());

const tables = {
  metric_aggregates: {
    key: ['experiment_id', 'variant_id', 'metric_name', 'granularity', 'bucket_start'],
    exact: ['count', 'min', 'max'],
    close: ['sum', 'mean'],
  },
  metric_aggregate_bins: {
    key: ['experiment_id', 'variant_id', 'metric_name', 'granularity', 'bucket_start', 'bin'],
    exact: ['count'],
    close: [],
  },
  first_exposures: { key: ['experiment_id', 'unit_id', 'variant_id'], exact: ['first_exposed_at'], close: [] },
  unit_metrics: {
    key: ['experiment_id', 'variant_id', 'unit_id', 'metric_name'],
    exact: ['count', 'min', 'max'],
    close: ['sum'],
  },
  unit_pending_metrics: {
    key: ['experiment_id', 'unit_id', 'variant_id', 'event_date', 'event_id', 'metric_name'],
    exact: ['event_time', 'value'],
    close: [],
  },
  unit_daily_metrics: {
    key: ['unit_type', 'unit_id', 'metric_name', 'day'],
    exact: ['count', 'min', 'max'],
    close: ['sum'],
  },
} as const;

async function empty(): Promise<void> {
  await database.pool.query(
    `TRUNCATE exp.events, exp.event_claims, ${Object.keys(tables)
      .map((table) => `exp.${table}`)
      .join(', ')}`,
  );
}
beforeEach(empty);

function createMember(knownCapacity = 1_000) {
  return createMetricsAggregatorSink({
    pool: memberPool,
    store: createAggregateStore({ consumerGroup: 'metrics-aggregator' }),
    exposureRules: createExposureRules({ pool: memberPool, now: Date.now }),
    knownExposures: createKnownExposures(knownCapacity),
  });
}

async function deliver(member: ReturnType<typeof createMember>, events: readonly EventRecord[]) {
  const batch = toBatch(events);
  await member.prepare?.(batch);
  const result = await inTransaction(memberPool, (tx) => member.write(tx, batch));
  member.committed?.(batch);
  return result;
}

/** What the postgres-sink stores of these events. */
async function storeEvents(events: readonly EventRecord[]): Promise<void> {
  await database.pool.query(
    `INSERT INTO exp.events (event_date, event_id, event_type, unit_type, unit_id, experiments, context, metrics, event_time,
       created_at, producer, source_topic, source_partition, source_offset)
     SELECT (to_timestamp(e.event_time / 1000.0) AT TIME ZONE 'UTC')::date, e.event_id, e.event_type, e.unit_type, e.unit_id,
       e.experiments, e.context, e.metrics, to_timestamp(e.event_time / 1000.0), now(), e.producer, 'events', 0, 0
     FROM jsonb_to_recordset($1) AS e (event_id uuid, event_type text, unit_type text, unit_id text, experiments jsonb,
       context jsonb, metrics jsonb, event_time bigint, producer text)
     ON CONFLICT DO NOTHING`,
    [JSON.stringify(events)],
  );
}

/** By table, the rows that differ from the recount. `close` columns may differ by the rounding of another order of addition. */
async function findDifferences(magnitude: number): Promise<Record<string, unknown[]>> {
  const client = await database.pool.connect();
  try {
    await client.query(recountSql);
    const found: Record<string, unknown[]> = {};
    for (const [table, { key, exact, close }] of Object.entries(tables)) {
      const differs = [
        ...exact.map((column) => `s.${column} IS DISTINCT FROM r.${column}`),
        ...close.map(
          (column) =>
            `NOT abs(s.${column} - r.${column}) <= 1e-9 * greatest(abs(s.${column}), abs(r.${column}), $1::float8)`,
        ),
      ];
      const result = await client.query(
        `SELECT '${table}' AS table_name, s.*, r.* FROM exp.${table} s
         FULL JOIN pg_temp.recount_${table} r USING (${key.join(', ')})
         WHERE ${table === 'metric_aggregates' ? 'NOT abs(s.m2 - r.m2) <= 1e-9 * s.count * $1::float8 * $1::float8 OR ' : ''}${differs.join(' OR ')}${close.length === 0 ? ' OR $1::float8 < 0' : ''}`,
        [magnitude],
      );
      if (result.rows.length > 0) found[table] = result.rows;
    }
    return found;
  } finally {
    client.release(true);
  }
}

const largestMagnitude = (events: readonly EventRecord[]): number =>
  Math.max(1, ...events.flatMap((event) => Object.values(event.metrics).map(Math.abs)));

describe('the tables of the aggregator', () => {
  it('equal the recount for any order of arrival and any batches', async () => {
    await fc.assert(
      fc
        .asyncProperty(shuffledBatches, fc.integer({ min: 1, max: 5 }), async ({ events, batches }, capacity) => {
          const member = createMember(capacity);
          for (const batch of batches) await deliver(member, batch);
          await storeEvents(events);
          expect(await findDifferences(largestMagnitude(events))).toEqual({});
        })
        .beforeEach(empty),
      { seed: 20261124, numRuns: 40 },
    );
  });

  it('equal the recount when three members write the same units, events and windows at once', async () => {
    const random = fc.sample(fc.infiniteStream(fc.integer({ min: 0, max: 1_000_000 })), { seed: 7, numRuns: 1 })[0]!;
    const next = (below: number): number => random.next().value % below;
    const events = Array.from({ length: 3_000 }, (_, index): EventRecord => {
      const experimentId = next(2) === 0 ? explicitExperiment : implicitExperiment;
      const eventTime = midnightMs - 3_600_000 + next(7_200_000);
      return {
        event_id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
        event_type: next(6) === 0 ? 'exposure' : 'purchase',
        unit_type: 'user',
        unit_id: `u${next(150)}`,
        experiments: [{ experiment_id: experimentId, variant_id: variants[next(2)]! }],
        context: {},
        metrics: { revenue: next(2_000) / 7 - 100 },
        payload: null,
        event_time: eventTime,
        ingest_time: eventTime,
        producer: 'test',
      };
    });
    // Each member reads all events, from another place on and in batches of another size: who claims what is left to chance.
    const totals = { written: 0, duplicates: 0 };
    await Promise.all(
      [97, 150, 211].map(async (size, memberIndex) => {
        const member = createMember();
        const own = [...events.slice(memberIndex * 1_000), ...events.slice(0, memberIndex * 1_000)];
        for (let at = 0; at < own.length; at += size) {
          const { written, duplicates } = await deliver(member, own.slice(at, at + size));
          totals.written += written;
          totals.duplicates += duplicates;
        }
      }),
    );
    expect(totals).toEqual({ written: 3_000, duplicates: 6_000 });
    await storeEvents(events);
    expect(await findDifferences(100)).toEqual({});
  });

  it('keep a value for an exposure that another member writes at the same moment', async () => {
    const base = {
      unit_type: 'user',
      unit_id: 'u1',
      experiments: [{ experiment_id: explicitExperiment, variant_id: variants[0] }],
      context: {},
      payload: null,
      ingest_time: midnightMs,
      producer: 'test',
    };
    const value: EventRecord = {
      ...base,
      event_id: '00000000-0000-4000-8000-000000000001',
      event_type: 'purchase',
      metrics: { revenue: 5 },
      event_time: midnightMs + 1,
    };
    const exposure: EventRecord = {
      ...base,
      event_id: '00000000-0000-4000-8000-000000000002',
      event_type: 'exposure',
      metrics: {},
      event_time: midnightMs,
    };
    for (const [first, second] of [
      [value, exposure],
      [exposure, value],
    ] as const) {
      await empty();
      const other = createMember();
      let waited = false;
      let later: Promise<unknown> | undefined;
      await inTransaction(memberPool, async (tx) => {
        const member = createMember();
        await member.prepare?.(toBatch([first]));
        await member.write(tx, toBatch([first]));
        // The other member must stop at the unit until this transaction ends, although the unit may have no row yet.
        later = deliver(other, [second]);
        for (const end = Date.now() + 10_000; !waited && Date.now() < end; ) {
          const blocked = await database.pool.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
          );
          waited = blocked.rows.length > 0;
        }
      });
      await later;
      expect(waited).toBe(true);
      const rows = await database.pool.query(
        `SELECT (SELECT count(*)::int FROM exp.unit_metrics) AS counted,
           (SELECT count(*)::int FROM exp.unit_pending_metrics) AS pending,
           (SELECT count(*)::int FROM exp.first_exposures) AS exposures`,
      );
      expect(rows.rows).toEqual([{ counted: 1, pending: 0, exposures: 1 }]);
    }
  });
});

describe('the recount', () => {
  it('takes the event types for exposures that the catalogue of event types does', () => {
    const inSql = /e\.event_type IN \(([^)]*)\)/
      .exec(recountSql)?.[1]
      ?.split(',')
      .map((text) => text.trim().slice(1, -1));
    const inCatalogue = Object.keys(eventTypes).filter((name) => eventTypes[name]!.isExposure);
    expect(inSql?.sort()).toEqual(inCatalogue.sort());
  });
});

const finite = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(0, 1e-9, -1e-9, 5e-324, Number.MAX_VALUE, -Number.MAX_VALUE),
);

describe('the sketch in SQL', () => {
  it('puts values in the bins of the sketch in domain, and gives the bins the same values', async () => {
    const values = fc.sample(finite, { seed: 20261124, numRuns: 5_000 });
    const inSql = await database.pool.query<{ bin: number; value: number }>(
      `SELECT exp.sketch_bin(v) AS bin, exp.sketch_bin_value(exp.sketch_bin(v)) AS value
       FROM unnest($1::float8[]) WITH ORDINALITY AS t (v, position) ORDER BY position`,
      [values],
    );
    expect(inSql.rows.map(({ bin }) => bin)).toEqual(values.map((value) => binOf(value) + 0));
    for (const { bin, value } of inSql.rows) {
      expect(Math.abs(value - valueOfBin(bin))).toBeLessThanOrEqual(1e-12 * Math.abs(value));
    }
  });

  it('gives the quantiles of the sketch in domain, also for bins of several windows together', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(finite, { minLength: 1, maxLength: 40 }),
        fc.array(finite, { maxLength: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (some, more, q) => {
          const bins = [...sketchOf(some), ...sketchOf(more)];
          const inSql = await database.pool.query<{ value: number }>(
            'SELECT exp.sketch_quantile($1, $2, $3) AS value',
            [bins.map(({ bin }) => bin), bins.map(({ count }) => count), q],
          );
          const expected = quantile(bins, q);
          if (expected.status !== 'computed') throw new Error(expected.detail);
          const { value } = inSql.rows[0]!;
          expect(Math.abs(value - expected.value)).toBeLessThanOrEqual(1e-12 * Math.abs(expected.value));
        },
      ),
      { seed: 20261124, numRuns: 100 },
    );
  });

  it('is null for no bins and for a quantile outside 0..1', async () => {
    const { rows } = await database.pool.query(
      `SELECT exp.sketch_quantile('{}', '{}', 0.5) AS none, exp.sketch_quantile('{1}', '{1}', 1.5) AS outside`,
    );
    expect(rows).toEqual([{ none: null, outside: null }]);
  });

  it('shows analysts the percentiles of each window within one percent', async () => {
    const events = Array.from(
      { length: 1_001 },
      (_, index): EventRecord => ({
        event_id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
        event_type: 'purchase',
        unit_type: 'user',
        unit_id: `u${index}`,
        experiments: [{ experiment_id: implicitExperiment, variant_id: variants[0] }],
        context: {},
        metrics: { revenue: index },
        payload: null,
        event_time: midnightMs + index,
        ingest_time: midnightMs + index,
        producer: 'test',
      }),
    );
    const member = createMember();
    await deliver(member, events.slice(0, 500));
    await deliver(member, events.slice(500));
    const { rows } = await database
      .poolAs('analyst', 1)
      .query<{ count: bigint; p50: number; p90: number; p99: number }>(
        "SELECT count, p50, p90, p99 FROM exp.v_metric_quantiles WHERE granularity = 'hour'",
      );
    expect(rows).toHaveLength(1);
    expect(rows[0]!.count).toBe(1_001n);
    for (const [actual, exact] of [
      [rows[0]!.p50, 500],
      [rows[0]!.p90, 900],
      [rows[0]!.p99, 990],
    ] as const) {
      expect(Math.abs(actual - exact)).toBeLessThanOrEqual(SKETCH_RELATIVE_ACCURACY * exact * (1 + 1e-9));
    }
  });
});
