// Finds events whose variant contradicts the stored assignment, with a bounded cache: assignments never change.
import type { DecodedRecord } from '#platform/kafka/record.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export type AssignmentLookup = {
  /** By record offset: the experiments that the event names with another variant than the unit's stored one. */
  findMismatches(tx: PoolClient, records: readonly DecodedRecord<EventRecord>[]): Promise<Map<bigint, string[]>>;
};

const maxCached = 50_000;

/** Units without a stored assignment are never a mismatch, and are asked for again the next time. */
export function createAssignmentLookup(): AssignmentLookup {
  // Insertion order makes the map a first-in first-out cache.
  const variantByKey = new Map<string, string>();

  return {
    findMismatches: async (tx, records) => {
      const experimentIds: string[] = [];
      const unitIds: string[] = [];
      const asked = new Set<string>();
      for (const { value } of records) {
        for (const { experiment_id } of value.experiments) {
          const key = `${experiment_id}:${value.unit_id}`;
          if (variantByKey.has(key) || asked.has(key)) continue;
          asked.add(key);
          experimentIds.push(experiment_id);
          unitIds.push(value.unit_id);
        }
      }
      if (asked.size > 0) {
        const found = await tx.query<{ experiment_id: string; unit_id: string; variant_id: string }>(
          `SELECT a.experiment_id, a.unit_id, a.variant_id
           FROM unnest($1::uuid[], $2::text[]) AS asked (experiment_id, unit_id)
           JOIN exp.assignments a USING (experiment_id, unit_id)`,
          [experimentIds, unitIds],
        );
        for (const row of found.rows) variantByKey.set(`${row.experiment_id}:${row.unit_id}`, row.variant_id);
      }
      const mismatches = new Map<bigint, string[]>();
      for (const { record, value } of records) {
        for (const { experiment_id, variant_id } of value.experiments) {
          const assigned = variantByKey.get(`${experiment_id}:${value.unit_id}`);
          if (assigned === undefined || assigned === variant_id) continue;
          const known = mismatches.get(record.offset);
          if (known === undefined) mismatches.set(record.offset, [experiment_id]);
          else known.push(experiment_id);
        }
      }
      for (const key of variantByKey.keys()) {
        if (variantByKey.size <= maxCached) break;
        variantByKey.delete(key);
      }
      return mismatches;
    },
  };
}
