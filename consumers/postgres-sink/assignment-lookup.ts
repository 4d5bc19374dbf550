// Finds events whose variant contradicts the stored assignment, with a bounded cache: assignments never change.
import { createUnitMemory } from '#consumers/unit-memory.ts';
import type { DecodedRecord } from '#platform/kafka/record.ts';
import { textArray, uuidArray } from '#platform/postgres/binary-arrays.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export type AssignmentLookup = {
  /** By record offset: the experiments that the event names with another variant than the unit's stored one. */
  findMismatches(tx: PoolClient, records: readonly DecodedRecord<EventRecord>[]): Promise<Map<bigint, string[]>>;
};

const cachedUnits = 25_000;

/** Stored variants by experiment and unit. */
type Variants = Map<string, Map<string, string>>;

async function readVariants(tx: PoolClient, unitsOf: ReadonlyMap<string, ReadonlySet<string>>): Promise<Variants> {
  const asked = [...unitsOf];
  const { rows } = await tx.query<[string, string, string]>({
    name: 'stored-variants',
    text: `SELECT a.experiment_id, a.unit_id, a.variant_id
      FROM unnest($1::uuid[], $2::text[]) AS asked (experiment_id, unit_id)
      JOIN exp.assignments a USING (experiment_id, unit_id)`,
    values: [
      uuidArray(asked.flatMap(([experimentId, units]) => new Array<string>(units.size).fill(experimentId))),
      textArray(asked.flatMap(([, units]) => [...units])),
    ],
    rowMode: 'array',
  });
  const found: Variants = new Map(asked.map(([experimentId]) => [experimentId, new Map()]));
  for (const [experimentId, unitId, variantId] of rows) found.get(experimentId)!.set(unitId, variantId);
  return found;
}

/** Units without a stored assignment are never a mismatch, and are asked for again the next time. */
export function createAssignmentLookup(): AssignmentLookup {
  const known = createUnitMemory<string>(cachedUnits);
  return {
    findMismatches: async (tx, records) => {
      const mismatches = new Map<bigint, string[]>();
      const judge = (offset: bigint, experimentId: string, named: string, stored: string | undefined): void => {
        if (stored === undefined || stored === named) return;
        const earlier = mismatches.get(offset);
        if (earlier === undefined) mismatches.set(offset, [experimentId]);
        else earlier.push(experimentId);
      };
      const undecided: { offset: bigint; experimentId: string; unitId: string; named: string }[] = [];
      const unitsOf = new Map<string, Set<string>>();
      for (const { record, value } of records) {
        for (const { experiment_id: experimentId, variant_id: named } of value.experiments) {
          const unitId = value.unit_id;
          const stored = known.find(experimentId, unitId);
          if (stored !== undefined) {
            judge(record.offset, experimentId, named, stored);
            continue;
          }
          undecided.push({ offset: record.offset, experimentId, unitId, named });
          const units = unitsOf.get(experimentId);
          if (units === undefined) unitsOf.set(experimentId, new Set([unitId]));
          else units.add(unitId);
        }
      }
      if (undecided.length === 0) return mismatches;
      const found = await readVariants(tx, unitsOf);
      for (const [experimentId, variants] of found) {
        for (const [unitId, variantId] of variants) known.keep(experimentId, unitId, variantId);
      }
      for (const { offset, experimentId, unitId, named } of undecided) {
        judge(offset, experimentId, named, found.get(experimentId)!.get(unitId));
      }
      return mismatches;
    },
  };
}
