// One flush of the metrics-aggregator: claims, first exposures, per-unit sums, windows, in that order in one transaction.
import { eventDateOf } from '#domain/event/parse-event.ts';
import { RetryableError } from '#platform/errors.ts';
import type { DecodedRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { Batch, Sink } from '#platform/kafka/sink.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { UnitInArm } from './aggregate-rows.ts';
import type { AggregateStore } from './aggregate-store.ts';
import type { ExposureRules } from './exposure-rules.ts';
import { type ExposureBound, isSettledBy, splitByExposure } from './first-exposure.ts';
import type { KnownExposures } from './known-exposures.ts';
import { aggregateEvents, findOversizedMetric, identityOf, withoutRepeats } from './transform.ts';

export type MetricsAggregatorDeps = {
  pool: Pick<Pool, 'query'>;
  store: AggregateStore;
  exposureRules: ExposureRules;
  knownExposures: KnownExposures;
};

type Exposure = { readonly unit: UnitInArm; readonly firstExposedAtMs: ExposureBound };

export function createMetricsAggregatorSink(deps: MetricsAggregatorDeps): Sink<EventRecord> {
  const { store, exposureRules, knownExposures } = deps;
  const knownDays = new Set<string>();
  /** What each batch learned about first exposures, until its commit. */
  const learned = new WeakMap<Batch<EventRecord>, readonly Exposure[]>();

  const toRejected = ({ record, value }: DecodedRecord<EventRecord>, metricName: string): RejectedRecord => ({
    record,
    rejection: {
      stage: 'sink',
      reason: 'rule-violated',
      error: `metrics.${metricName} is too large to be aggregated`,
      eventId: value.event_id,
      experimentIds: value.experiments.map((ref) => ref.experiment_id),
    },
  });

  /**
   * Finds the first exposure of every unit of the batch. Why it is right for any number of members at once:
   *   invariant, at every commit: a value of a unit is in unit_metrics when it is at or after the unit's first exposure,
   *   and else in unit_pending_metrics.
   * Whoever adds a waiting value or moves a first exposure holds the unit's lock from before it reads the first exposure
   * until its commit, so such transactions happen one after the other per unit, and each sees what the one before it left:
   * waiting values of the past are released by the mover, values of the present are judged by the moved time. Whoever
   * holds no lock only counts values at or after a committed first exposure; that can only move away from them.
   */
  const settleExposures = async (
    tx: PoolClient,
    units: readonly UnitInArm[],
  ): Promise<{ exposures: Exposure[]; moved: { unit: UnitInArm; firstExposedAtMs: number }[] }> => {
    const exposures: Exposure[] = [];
    const moved: { unit: UnitInArm; firstExposedAtMs: number }[] = [];
    const bounds = units.map((unit) => knownExposures.find(unit.arm, unit.unitId));
    const unknown = [...units.keys()].filter((index) => bounds[index] === undefined);
    if (unknown.length > 0) {
      const found = await store.findFirstExposures(
        tx,
        unknown.map((index) => units[index]!),
      );
      for (const [position, index] of unknown.entries()) bounds[index] = found[position];
    }
    const open = units.filter((unit, index) => !isSettledBy(bounds[index], unit));
    const settled = open.length === 0 ? [] : await store.lowerFirstExposures(tx, open);
    let position = 0;
    for (const [index, unit] of units.entries()) {
      let firstExposedAtMs = bounds[index];
      if (unit === open[position]) {
        const { before, now } = settled[position]!;
        position += 1;
        firstExposedAtMs = now;
        if (now !== undefined && (before === undefined || now < before)) moved.push({ unit, firstExposedAtMs: now });
      }
      exposures.push({ unit, firstExposedAtMs });
    }
    return { exposures, moved };
  };

  return {
    prepare: async (batch) => {
      const experimentIds = new Set<string>();
      for (const { value } of batch.records) {
        for (const { experiment_id } of value.experiments) experimentIds.add(experiment_id);
        const day = eventDateOf(value.event_time);
        if (knownDays.has(day)) continue;
        // In a transaction of its own: within the flush it would hold its lock until the commit.
        await deps.pool.query('SELECT exp.ensure_event_day($1::date)', [day]);
        knownDays.add(day);
      }
      await exposureRules.refresh(experimentIds);
    },

    write: async (tx, batch) => {
      const rejected: RejectedRecord[] = [];
      const events: EventRecord[] = [];
      for (const decoded of batch.records) {
        const oversized = findOversizedMetric(decoded.value);
        if (oversized === undefined) events.push(decoded.value);
        else rejected.push(toRejected(decoded, oversized));
      }
      const firsts = withoutRepeats(events);
      if (firsts.length === 0) return { written: 0, duplicates: events.length, rejected };

      const lost = await claimOrForgetDays(tx, firsts);
      const accepted = lost.size === 0 ? firsts : firsts.filter((event) => !lost.has(identityOf(event)));
      const { windows, bins, unitDays, unitsInArms } = aggregateEvents(accepted, exposureRules.isImplicit);

      const { exposures, moved } = await settleExposures(tx, unitsInArms);
      const released =
        moved.length === 0
          ? []
          : await store.releasePending(
              tx,
              moved.map(({ unit, firstExposedAtMs }) => ({ arm: unit.arm, unitId: unit.unitId, firstExposedAtMs })),
            );
      const { counted, pending } = splitByExposure(exposures, released);
      if (pending.length > 0) await store.addPending(tx, pending);
      if (counted.length > 0) await store.addUnitMetrics(tx, counted);
      if (unitDays.length > 0) await store.addUnitDays(tx, unitDays);
      // Last, because every member writes the rows of the present hour: they stay locked until the commit.
      if (windows.length > 0) {
        await store.addWindows(tx, windows);
        await store.addBins(tx, bins);
      }
      learned.set(batch, exposures);
      return { written: accepted.length, duplicates: events.length - accepted.length, rejected };
    },

    committed: (batch) => {
      for (const { unit, firstExposedAtMs } of learned.get(batch) ?? []) {
        if (firstExposedAtMs !== undefined) knownExposures.remember(unit.arm, unit.unitId, firstExposedAtMs);
      }
    },

    // A repair may have raised first exposures.
    forget: () => {
      knownDays.clear();
      knownExposures.forgetAll();
    },
  };

  async function claimOrForgetDays(tx: PoolClient, events: readonly EventRecord[]): Promise<Set<string>> {
    try {
      return await store.claimEvents(tx, events);
    } catch (error) {
      if (error instanceof RetryableError) knownDays.clear();
      throw error;
    }
  }
}
