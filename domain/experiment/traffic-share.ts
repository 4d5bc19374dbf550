// The share of all units that a variant gets, and the limit at which a new policy version may start.

import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import { type Experiment, policyVersionIdIn } from './experiment.ts';

/** A policy version that was never in production starts at no more than this share of traffic, in basis points. */
export const STARTING_SHARE_LIMIT = 1_000;

type Shares = Pick<Experiment, 'coverage' | 'variants'>;

/** Share of all units, 0..1: coverage * allocation. */
export function trafficShareOf(coverage: number, allocation: number): number {
  return (coverage * allocation) / (FULL_SHARE * FULL_SHARE);
}

/** Whether units have been enrolled by now, as far as status and clock say: from then on, coverage is ramped by decision. */
export function hasEnrolmentBegun(
  { status, startsAt }: Pick<Experiment, 'status' | 'startsAt'>,
  nowMs: number,
): boolean {
  return status !== 'draft' && (startsAt === null || Date.parse(startsAt) <= nowMs);
}

export type StartingCoverage = {
  /** The largest coverage, at most the asked one, at which no new policy version exceeds the limit. */
  readonly coverage: number;
  /** The policy versions that lowered it, with their share of all units at the asked coverage. */
  readonly cappedBy: readonly { readonly policyVersionId: string; readonly trafficShare: number }[];
};

/**
 * Caps the coverage at which an experiment starts. Variants that point at one policy version count together, so that
 * splitting a version over variants does not get it more traffic.
 */
export function capStartingCoverage(
  { coverage, variants }: Shares,
  hasBeenInProduction: (policyVersionId: string) => boolean,
): StartingCoverage {
  const allocationOf = new Map<string, number>();
  for (const { config, allocation } of variants) {
    const id = policyVersionIdIn(config);
    if (id !== null && !hasBeenInProduction(id)) allocationOf.set(id, (allocationOf.get(id) ?? 0) + allocation);
  }
  const cappedBy = [...allocationOf]
    .filter(([, allocation]) => coverage * allocation > STARTING_SHARE_LIMIT * FULL_SHARE)
    .map(([policyVersionId, allocation]) => ({ policyVersionId, allocation }));
  const limits = cappedBy.map(({ allocation }) => Math.floor((STARTING_SHARE_LIMIT * FULL_SHARE) / allocation));
  return {
    coverage: Math.min(coverage, ...limits),
    cappedBy: cappedBy.map(({ policyVersionId, allocation }) => ({
      policyVersionId,
      trafficShare: trafficShareOf(coverage, allocation),
    })),
  };
}
