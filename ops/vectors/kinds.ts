// The kinds of vector files that `npm run vectors` knows: one file beside this one and one line here for each.
import { assignmentVectors } from './assignment.ts';
import { gbstatsRecordedVectors } from './gbstats-recorded.ts';
import { murmur3Vectors } from './murmur3.ts';
import { targetingVectors } from './targeting.ts';
import type { VectorKind } from './vector-kind.ts';

export type { VectorKind, VectorReport } from './vector-kind.ts';

export const vectorKinds: readonly VectorKind[] = [
  assignmentVectors,
  murmur3Vectors,
  targetingVectors,
  gbstatsRecordedVectors,
];
