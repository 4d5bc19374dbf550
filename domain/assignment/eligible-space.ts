// Layers, in which experiments own disjoint ranges of units, and holdouts, whose units enter no experiment.

import type { HoldoutId, LayerId } from '#domain/experiment/ids.ts';
import { BUCKET_COUNT } from './bucket.ts';

/** The half-open range of a layer's buckets that an experiment owns. */
export type LayerRange = { readonly layerId: LayerId; readonly start: number; readonly end: number };

/** A holdout keeps the units of its lowest buckets out; `share` is in basis points. */
export type Holdout = { readonly holdoutId: HoldoutId; readonly share: number };

export function isInLayerRange({ start, end }: LayerRange, layerBucket: number): boolean {
  return layerBucket >= start && layerBucket < end;
}

export function isHeldOut({ share }: Holdout, holdoutBucket: number): boolean {
  return holdoutBucket < share;
}

/** Says what is wrong with a layer range, or null. */
export function findLayerRangeProblem({ layerId, start, end }: LayerRange): string | null {
  if (layerId === '') return 'a layer needs an id';
  const isRange = Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end && end <= BUCKET_COUNT;
  return isRange
    ? null
    : `the range [${start}, ${end}) of layer ${layerId} must be two integers with 0 <= start < end <= ${BUCKET_COUNT}`;
}

/** True when a unit could be in both ranges: two experiments of one layer must never share a unit. */
export function layerRangesOverlap(one: LayerRange, other: LayerRange): boolean {
  return one.layerId === other.layerId && one.start < other.end && other.start < one.end;
}
