// What differs between the row, the record and the hash of one assignment; pure.
import type { BucketOfUnit } from '#domain/assignment/bucket.ts';
import { decideVariant, type VariantRanges } from '#domain/assignment/variant-ranges.ts';
import { asUnitId } from '#domain/experiment/ids.ts';
import type { AssignmentRecord } from '#schemas/generated/records.ts';

/** A row of exp.assignments in the words of the record; times in ms, as the record has them. */
export type AssignmentRow = Omit<AssignmentRecord, 'experiment_key' | 'variant_name' | 'revision'>;

export type AssignmentDifference = {
  readonly experimentId: string;
  readonly unitId: string;
  /** Which of the three disagree. */
  readonly kind: 'missing-in-topic' | 'missing-in-database' | 'topic-differs' | 'hash-differs';
  readonly detail: string;
};

/** How the hash assigns in one experiment: ranges at full coverage, because coverage only grows and no range moves. */
export type ExperimentHash = { readonly bucketOf: BucketOfUnit; readonly fullRanges: VariantRanges };

const comparedFields = [
  'unit_type',
  'variant_id',
  'hash_bucket',
  'experiment_version',
  'probability',
  'enrolment_share',
  'source',
  'assigned_at',
] as const satisfies readonly (keyof AssignmentRow)[];

/** Differences of a row to its record (undefined: the topic has none) and to the hash (undefined: the experiment is unknown). */
export function compareAssignment(
  row: AssignmentRow,
  record: AssignmentRecord | undefined,
  hash: ExperimentHash | undefined,
): AssignmentDifference[] {
  const of = { experimentId: row.experiment_id, unitId: row.unit_id };
  const differences: AssignmentDifference[] = [];
  if (record === undefined) {
    differences.push({ ...of, kind: 'missing-in-topic', detail: `variant ${row.variant_id}` });
  } else {
    const fields = comparedFields.filter((field) => row[field] !== record[field]);
    const detail = fields.map((field) => `${field}: database ${row[field]}, topic ${record[field]}`).join('; ');
    if (fields.length > 0) differences.push({ ...of, kind: 'topic-differs', detail });
  }
  const problem = hash === undefined ? null : findHashProblem(row, hash);
  if (problem !== null) differences.push({ ...of, kind: 'hash-differs', detail: problem });
  return differences;
}

function findHashProblem(row: AssignmentRow, { bucketOf, fullRanges }: ExperimentHash): string | null {
  const bucket = bucketOf(asUnitId(row.unit_id));
  if (bucket !== row.hash_bucket) return `the unit's bucket is ${bucket}, the row says ${row.hash_bucket}`;
  // Forced, imported and inherited variants are what somebody decided, not what the hash gives.
  if (row.source !== 'hashed') return null;
  const decision = decideVariant(fullRanges, bucket);
  if (decision.kind !== 'assigned') return `bucket ${bucket} belongs to no variant, the row says ${row.variant_id}`;
  return decision.variantId === row.variant_id
    ? null
    : `bucket ${bucket} belongs to variant ${decision.variantId}, the row says ${row.variant_id}`;
}
