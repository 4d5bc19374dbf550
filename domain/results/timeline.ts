// The life of an experiment as its analysis needs it: assignment periods with their planned shares, and when delivery deviated.
import { planVariantRanges } from '#domain/assignment/variant-ranges.ts';
import type { ExperimentStatus, Serving, Variant } from '#domain/experiment/experiment.ts';
import type { VariantId } from '#domain/experiment/ids.ts';

/** The definition from `atMs` on, until the next state. */
export type DefinitionState = {
  readonly atMs: number;
  readonly status: ExperimentStatus;
  /** Basis points. */
  readonly coverage: number;
  readonly serving: Serving['mode'];
};

/** Units that were assigned in [startMs, endMs); null is open. */
export type AssignmentPeriod = {
  readonly startMs: number | null;
  readonly endMs: number | null;
  readonly coverage: number;
  readonly serving: Serving['mode'];
  /** Planned share of each variant among the units that are enrolled, in declared order; all 0 while nobody is. */
  readonly shares: readonly { readonly variantId: VariantId; readonly share: number }[];
};

/** Delivery was not as assigned in [startMs, endMs); null: it still is not. */
export type Deviation = { readonly startMs: number; readonly endMs: number | null };

export type Timeline = {
  /** In order, at least one. A unit belongs to the period of its assignment. */
  readonly periods: readonly AssignmentPeriod[];
  readonly deviations: readonly Deviation[];
};

/**
 * Splits the time since the start at every change of coverage or serving. `states` are in order of time; what happened before the
 * first of them belongs to the first period.
 */
export function planTimeline(states: readonly DefinitionState[], variants: readonly Variant[]): Timeline {
  const begun = states.findIndex(({ status }) => status !== 'draft');
  const live = begun === -1 ? states.slice(-1) : states.slice(begun);
  const periods: AssignmentPeriod[] = [];
  const deviations: Deviation[] = [];
  for (const { atMs, coverage, serving } of live) {
    const last = periods.at(-1);
    if (last?.coverage === coverage && last.serving === serving) continue;
    if (last !== undefined) periods[periods.length - 1] = { ...last, endMs: atMs };
    const startMs = last === undefined ? null : atMs;
    periods.push({ startMs, endMs: null, coverage, serving, shares: plannedShares(variants, coverage) });
    const open = deviations.at(-1);
    if (serving === 'as_assigned') {
      if (open?.endMs === null) deviations[deviations.length - 1] = { ...open, endMs: atMs };
    } else if (open === undefined || open.endMs !== null) deviations.push({ startMs: atMs, endMs: null });
  }
  return { periods, deviations };
}

function plannedShares(variants: readonly Variant[], coverage: number): AssignmentPeriod['shares'] {
  const { ranges } = planVariantRanges(variants, coverage);
  const widths = ranges.map(({ start, end }) => end - start);
  const total = widths.reduce((sum, width) => sum + width, 0);
  return ranges.map(({ variantId }, index) => ({ variantId, share: total === 0 ? 0 : widths[index]! / total }));
}
