// The kinds of vector files that `npm run vectors` knows: one file beside this one and one line here for each.
import { assignmentVectors } from './assignment.ts';
import { confidenceRecordedVectors } from './confidence-recorded.ts';
import { gbstatsGridVectors } from './gbstats-grid.ts';
import { gbstatsPowerVectors } from './gbstats-power.ts';
import { gbstatsRecordedVectors } from './gbstats-recorded.ts';
import { murmur3Vectors } from './murmur3.ts';
import { offPolicyVectors } from './off-policy.ts';
import { posthogCupedVectors } from './posthog-cuped.ts';
import { sequentialSrmVectors } from './sequential-srm.ts';
import { targetingVectors } from './targeting.ts';
import type { VectorKind } from './vector-kind.ts';

export type { VectorKind, VectorReport } from './vector-kind.ts';

export const vectorKinds: readonly VectorKind[] = [
  assignmentVectors,
  murmur3Vectors,
  targetingVectors,
  confidenceRecordedVectors,
  gbstatsRecordedVectors,
  gbstatsGridVectors,
  gbstatsPowerVectors,
  posthogCupedVectors,
  sequentialSrmVectors,
  offPolicyVectors,
];
