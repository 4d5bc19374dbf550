// The kinds of vector files that `npm run vectors` knows: one file beside this one and one line here for each.
import type { VectorKind } from './vector-kind.ts';

export type { VectorKind, VectorReport } from './vector-kind.ts';

export const vectorKinds: readonly VectorKind[] = [];
