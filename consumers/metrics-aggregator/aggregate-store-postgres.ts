// The tables of the group in Postgres: one statement per step, fed with binary arrays.
//
// Every statement inserts from unnest without a join or an ORDER BY of its own (but for claims), so rows are locked in the
// order of the arrays, which is the same in every member: two members that share keys wait for each other, never in a circle.
// The isolation level must be READ COMMITTED: a statement must see what was committed while the one before it waited.
import { FatalError, RetryableError } from '#platform/errors.ts';
import {
  dateArray,
  float8Array,
  int4Array,
  int8Array,
  textArray,
  timestampArray,
  uuidArray,
} from '#platform/postgres/binary-arrays.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import { isMissingPartition, isUniqueViolation } from '#platform/postgres/sql-state.ts';
import type { Arm } from './aggregate-rows.ts';
import type { AggregateStore } from './aggregate-store.ts';

/** Repeated ids and names travel once; rows carry their position, counted from one as Postgres does. */
function createDictionary<T>() {
  const positions = new Map<T, number>();
  return {
    positionOf: (value: T): number => {
      let position = positions.get(value);
      if (position === undefined) {
        position = positions.size + 1;
        positions.set(value, position);
      }
      return position;
    },
    values: (): T[] => [...positions.keys()],
  };
}

/** The first parameters of the statements below: experiment and variant by arm position, then the arm position of each row. */
function armParameters(rows: readonly { readonly arm: Arm }[]): Buffer[] {
  const arms = createDictionary<Arm>();
  const positions = int4Array(rows.map(({ arm }) => arms.positionOf(arm)));
  return [
    uuidArray(arms.values().map(({ experimentId }) => experimentId)),
    uuidArray(arms.values().map(({ variantId }) => variantId)),
    positions,
  ];
}

/** Metric names by position, then the position of each row. */
function metricParameters(rows: readonly { readonly metricName: string }[]): Buffer[] {
  const names = createDictionary<string>();
  const positions = int4Array(rows.map(({ metricName }) => names.positionOf(metricName)));
  return [textArray(names.values()), positions];
}

function tallyParameters(rows: readonly { count: number; sum: number; min: number; max: number }[]): Buffer[] {
  return [
    int8Array(rows.map(({ count }) => count)),
    float8Array(rows.map(({ sum }) => sum)),
    float8Array(rows.map(({ min }) => min)),
    float8Array(rows.map(({ max }) => max)),
  ];
}

const statements = {
  // Without ON CONFLICT: looking before each row and inserting it speculatively costs as much again as the insert.
  claimNewEvents: `
    INSERT INTO exp.event_claims (event_date, event_id, consumer_group)
    SELECT event_date, event_id, $3::text FROM unnest($1::date[], $2::uuid[]) AS o (event_date, event_id)
    ORDER BY event_date, event_id`,
  // The lost ones by EXCEPT: a join of two sets of unknown size could be planned as a nested loop.
  claimEvents: `
    WITH offered AS MATERIALIZED (
      SELECT event_date, event_id FROM unnest($1::date[], $2::uuid[]) AS o (event_date, event_id)
    ), won AS (
      INSERT INTO exp.event_claims (event_date, event_id, consumer_group)
      SELECT event_date, event_id, $3::text FROM offered ORDER BY event_date, event_id
      ON CONFLICT DO NOTHING
      RETURNING event_date, event_id
    )
    SELECT event_date, event_id FROM offered EXCEPT SELECT event_date, event_id FROM won`,
  findFirstExposures: `
    SELECT u.position::int4, date_part('epoch', f.first_exposed_at) * 1000
    FROM unnest($3::int4[], $4::text[]) WITH ORDINALITY AS u (arm, unit_id, position)
    JOIN exp.first_exposures f ON f.experiment_id = ($1::uuid[])[u.arm] AND f.unit_id = u.unit_id
      AND f.variant_id = ($2::uuid[])[u.arm]`,
  // OFFSET 0 keeps one look into the primary key per unit: another plan could read all assignments.
  lowerFirstExposures: `
    INSERT INTO exp.first_exposures AS f
      (experiment_id, unit_id, variant_id, first_exposed_at, assigned_variant_id, assigned_at)
    SELECT ($1::uuid[])[u.arm], u.unit_id, ($2::uuid[])[u.arm], u.exposed_at, a.variant_id, a.assigned_at
    FROM unnest($3::int4[], $4::text[], $5::timestamptz[]) AS u (arm, unit_id, exposed_at)
    LEFT JOIN LATERAL (
      SELECT variant_id, assigned_at FROM exp.assignments
      WHERE experiment_id = ($1::uuid[])[u.arm] AND unit_id = u.unit_id OFFSET 0
    ) AS a ON true
    ON CONFLICT (experiment_id, unit_id, variant_id)
    DO UPDATE SET first_exposed_at = least(f.first_exposed_at, excluded.first_exposed_at),
      assigned_variant_id = coalesce(f.assigned_variant_id, excluded.assigned_variant_id),
      assigned_at = coalesce(f.assigned_at, excluded.assigned_at)
    RETURNING new.unit_id, date_part('epoch', old.first_exposed_at) * 1000, date_part('epoch', new.first_exposed_at) * 1000`,
  removeUnexposed: `
    DELETE FROM exp.first_exposures f
    USING unnest($3::int4[], $4::text[]) AS u (arm, unit_id)
    WHERE f.experiment_id = ($1::uuid[])[u.arm] AND f.unit_id = u.unit_id AND f.variant_id = ($2::uuid[])[u.arm]
      AND f.first_exposed_at = 'infinity'`,
  releasePending: `
    WITH released AS (
      DELETE FROM exp.unit_pending_metrics p
      USING unnest($3::int4[], $4::text[], $5::timestamptz[]) WITH ORDINALITY AS u (arm, unit_id, exposed_at, position)
      WHERE p.experiment_id = ($1::uuid[])[u.arm] AND p.unit_id = u.unit_id AND p.variant_id = ($2::uuid[])[u.arm]
        AND p.event_time >= u.exposed_at
      RETURNING u.position, p.metric_name, p.value
    )
    SELECT position::int4, metric_name, count(*)::int4, sum(value), min(value), max(value)
    FROM released GROUP BY position, metric_name`,
  addPending: `
    INSERT INTO exp.unit_pending_metrics
      (experiment_id, unit_id, variant_id, event_date, event_id, metric_name, event_time, value)
    SELECT ($1::uuid[])[p.arm], p.unit_id, ($2::uuid[])[p.arm], p.event_date, p.event_id, ($4::text[])[p.metric],
      p.event_time, p.value
    FROM unnest($3::int4[], $5::int4[], $6::text[], $7::date[], $8::uuid[], $9::timestamptz[], $10::float8[])
      AS p (arm, metric, unit_id, event_date, event_id, event_time, value)`,
  addUnitMetrics: `
    INSERT INTO exp.unit_metrics AS t (experiment_id, variant_id, unit_id, metric_name, count, sum, min, max)
    SELECT ($1::uuid[])[r.arm], ($2::uuid[])[r.arm], r.unit_id, ($4::text[])[r.metric], r.count, r.sum, r.min, r.max
    FROM unnest($3::int4[], $5::int4[], $6::text[], $7::int8[], $8::float8[], $9::float8[], $10::float8[])
      AS r (arm, metric, unit_id, count, sum, min, max)
    ON CONFLICT (experiment_id, unit_id, variant_id, metric_name) DO UPDATE SET
      count = t.count + excluded.count, sum = t.sum + excluded.sum,
      min = least(t.min, excluded.min), max = greatest(t.max, excluded.max)`,
  addUnitDays: `
    INSERT INTO exp.unit_daily_metrics AS t (unit_type, unit_id, metric_name, day, count, sum, min, max)
    SELECT ($1::text[])[r.unit_type], r.unit_id, ($3::text[])[r.metric], r.day, r.count, r.sum, r.min, r.max
    FROM unnest($2::int4[], $4::int4[], $5::text[], $6::date[], $7::int8[], $8::float8[], $9::float8[], $10::float8[])
      AS r (unit_type, metric, unit_id, day, count, sum, min, max)
    ON CONFLICT (unit_type, unit_id, metric_name, day) DO UPDATE SET
      count = t.count + excluded.count, sum = t.sum + excluded.sum,
      min = least(t.min, excluded.min), max = greatest(t.max, excluded.max)`,
  // Chan's merge, see exp.merged_m2 (migration 0004) for what it guards against.
  addWindows: `
    INSERT INTO exp.metric_aggregates AS t
      (experiment_id, variant_id, metric_name, granularity, bucket_start, count, sum, m2, min, max)
    SELECT ($1::uuid[])[r.arm], ($2::uuid[])[r.arm], ($4::text[])[r.metric], r.granularity, r.bucket_start,
      r.count, r.sum, r.m2, r.min, r.max
    FROM unnest($3::int4[], $5::int4[], $6::text[], $7::timestamptz[], $8::int8[], $9::float8[], $10::float8[], $11::float8[],
      $12::float8[]) AS r (arm, metric, granularity, bucket_start, count, sum, min, max, m2)
    ON CONFLICT (experiment_id, variant_id, metric_name, granularity, bucket_start) DO UPDATE SET
      count = t.count + excluded.count, sum = t.sum + excluded.sum,
      m2 = exp.merged_m2(t.count, t.mean, t.m2, excluded.count, excluded.mean, excluded.m2),
      min = least(t.min, excluded.min), max = greatest(t.max, excluded.max), updated_at = now()`,
  addBins: `
    INSERT INTO exp.metric_aggregate_bins AS t
      (experiment_id, variant_id, metric_name, granularity, bucket_start, bin, count)
    SELECT ($1::uuid[])[r.arm], ($2::uuid[])[r.arm], ($4::text[])[r.metric], r.granularity, r.bucket_start, r.bin, r.count
    FROM unnest($3::int4[], $5::int4[], $6::text[], $7::timestamptz[], $8::int4[], $9::int8[])
      AS r (arm, metric, granularity, bucket_start, bin, count)
    ON CONFLICT (experiment_id, variant_id, metric_name, granularity, bucket_start, bin)
    DO UPDATE SET count = t.count + excluded.count`,
} as const;

/** Prepared once per connection. Rows come as arrays: there are thousands. */
async function run<Row extends unknown[]>(
  tx: PoolClient,
  name: keyof typeof statements,
  values: readonly unknown[],
): Promise<Row[]> {
  const result = await tx.query<Row>({ name, text: statements[name], values: [...values], rowMode: 'array' });
  return result.rows;
}

/** A whole number of ms: date_part gives seconds, which binary fractions do not hold exactly. */
const toMs = (value: number | null): number | undefined =>
  value === null || value === Number.POSITIVE_INFINITY ? undefined : Math.round(value);

export function createAggregateStore(options: { consumerGroup: string }): AggregateStore {
  /** Whether the last batch held events that were claimed before: they come in runs, when a producer or a member starts again. */
  let expectsClaimed = false;

  const claimEvents: AggregateStore['claimEvents'] = async (tx, events) => {
    const parameters = [
      dateArray(events.map((event) => event.event_time)),
      uuidArray(events.map((event) => event.event_id)),
      options.consumerGroup,
    ];
    if (!expectsClaimed) {
      await tx.query('SAVEPOINT before_claims');
      try {
        await run(tx, 'claimNewEvents', parameters);
        await tx.query('RELEASE SAVEPOINT before_claims');
        return new Set();
      } catch (error) {
        if (!isUniqueViolation(error)) throw error;
        await tx.query('ROLLBACK TO SAVEPOINT before_claims');
      }
    }
    const lost = await run<[string, string]>(tx, 'claimEvents', parameters);
    expectsClaimed = lost.length > 0;
    return new Set(lost.map(([eventDate, eventId]) => eventId + eventDate));
  };

  return {
    claimEvents: async (tx, events) => {
      try {
        return await claimEvents(tx, events);
      } catch (error) {
        // The day was there when the batch was prepared: retention took it since. It is made again for the next attempt.
        if (!isMissingPartition(error)) throw error;
        throw new RetryableError('a day of exp.event_claims is missing', {
          code: 'dependency-unavailable',
          cause: error,
        });
      }
    },

    findFirstExposures: async (tx, units) => {
      const found: (number | undefined)[] = new Array(units.length).fill(undefined);
      const rows = await run<[number, number]>(tx, 'findFirstExposures', [
        ...armParameters(units),
        textArray(units.map(({ unitId }) => unitId)),
      ]);
      for (const [position, timeMs] of rows) found[position - 1] = toMs(timeMs);
      return found;
    },

    lowerFirstExposures: async (tx, units) => {
      const arms = armParameters(units);
      const rows = await run<[string, number | null, number]>(tx, 'lowerFirstExposures', [
        ...arms,
        textArray(units.map(({ unitId }) => unitId)),
        timestampArray(units.map(({ exposedAtMs }) => exposedAtMs)),
      ]);
      const result = rows.map(([unitId, before, now], index) => {
        // Postgres returns the rows in the order in which it wrote them; were that ever to change, this must not go on.
        if (unitId !== units[index]?.unitId) {
          throw new FatalError('first exposures came back in another order', { code: 'unexpected' });
        }
        return { before: toMs(before), now: toMs(now) };
      });
      const unexposed = units.filter((_, index) => result[index]!.now === undefined);
      if (unexposed.length > 0) {
        // A row at infinity only holds the unit's key until this transaction ends: whoever inserts the same key waits for it.
        // Deleting it here keeps it from ever being seen, and does not let a waiter go on before the commit.
        await run(tx, 'removeUnexposed', [
          ...armParameters(unexposed),
          textArray(unexposed.map(({ unitId }) => unitId)),
        ]);
      }
      return result;
    },

    releasePending: async (tx, units) => {
      const rows = await run<[number, string, number, number, number, number]>(tx, 'releasePending', [
        ...armParameters(units),
        textArray(units.map(({ unitId }) => unitId)),
        timestampArray(units.map(({ firstExposedAtMs }) => firstExposedAtMs)),
      ]);
      return rows.map(([position, metricName, count, sum, min, max]) => {
        const { arm, unitId } = units[position - 1]!;
        return { arm, unitId, metricName, count, sum, min, max };
      });
    },

    addPending: async (tx, rows) => {
      const times = rows.map(({ eventTimeMs }) => eventTimeMs);
      await run(tx, 'addPending', [
        ...armParameters(rows),
        ...metricParameters(rows),
        textArray(rows.map(({ unitId }) => unitId)),
        dateArray(times),
        uuidArray(rows.map(({ eventId }) => eventId)),
        timestampArray(times),
        float8Array(rows.map(({ value }) => value)),
      ]);
    },

    addUnitMetrics: async (tx, rows) => {
      await run(tx, 'addUnitMetrics', [
        ...armParameters(rows),
        ...metricParameters(rows),
        textArray(rows.map(({ unitId }) => unitId)),
        ...tallyParameters(rows),
      ]);
    },

    addUnitDays: async (tx, rows) => {
      const unitTypes = createDictionary<string>();
      const positions = int4Array(rows.map(({ unitType }) => unitTypes.positionOf(unitType)));
      await run(tx, 'addUnitDays', [
        textArray(unitTypes.values()),
        positions,
        ...metricParameters(rows),
        textArray(rows.map(({ unitId }) => unitId)),
        dateArray(rows.map(({ dayStartMs }) => dayStartMs)),
        ...tallyParameters(rows),
      ]);
    },

    addWindows: async (tx, rows) => {
      await run(tx, 'addWindows', [
        ...armParameters(rows),
        ...metricParameters(rows),
        textArray(rows.map(({ granularity }) => granularity)),
        timestampArray(rows.map(({ windowStartMs }) => windowStartMs)),
        ...tallyParameters(rows),
        float8Array(rows.map(({ m2 }) => m2)),
      ]);
    },

    addBins: async (tx, rows) => {
      await run(tx, 'addBins', [
        ...armParameters(rows),
        ...metricParameters(rows),
        textArray(rows.map(({ granularity }) => granularity)),
        timestampArray(rows.map(({ windowStartMs }) => windowStartMs)),
        int4Array(rows.map(({ bin }) => bin)),
        int8Array(rows.map(({ count }) => count)),
      ]);
    },
  };
}
