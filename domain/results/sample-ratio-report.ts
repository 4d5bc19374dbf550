// Whether units arrived in the planned proportions: now by chi-square, at any time by the multinomial test, and how that went.
import { computed, notComputable, type Outcome } from '#domain/statistics/result.ts';
import {
  type SampleRatioResult,
  sampleRatioLogBayesFactor,
  testSampleRatioByPeriod,
  type VariantCount,
} from '#domain/statistics/sample-ratio.ts';
import type { Timeline } from './timeline.ts';

/** Units of one variant that arrived on one UTC day in one assignment period. */
export type ArrivalCount = {
  readonly variantId: string;
  readonly period: number;
  readonly day: string;
  readonly units: number;
};

export type SampleRatioDay = {
  readonly day: string;
  /** Units so far, in declared order of the variants. */
  readonly units: readonly number[];
  /** Planned share of each variant among them, by the periods they arrived in. */
  readonly expectedShares: readonly number[];
  /** Of the test that is valid at every look; never rises. */
  readonly pValue: number;
};

export type SampleRatioReport = {
  readonly units: number;
  readonly chiSquare: Outcome<SampleRatioResult>;
  /** False alarms over all looks together happen with at most the probability that it is compared with. */
  readonly anytime: Outcome<{ readonly pValue: number }>;
  readonly days: readonly SampleRatioDay[];
};

/**
 * Periods have planned shares of their own, so their evidence is kept apart and multiplied: a planned change of the mix is no
 * mismatch, and the product of independent test martingales is one too.
 */
export function reportSampleRatio(arrivals: readonly ArrivalCount[], timeline: Timeline): SampleRatioReport {
  const { periods } = timeline;
  const variantIds = periods[0]!.shares.map(({ variantId }) => variantId as string);
  const counts = periods.map(() => variantIds.map(() => 0));
  const days: SampleRatioDay[] = [];
  let smallest = 1;
  for (const [day, ofDay] of groupByDay(arrivals)) {
    for (const { variantId, period, units } of ofDay) {
      const index = variantIds.indexOf(variantId);
      const ofPeriod = counts[Math.min(period, periods.length - 1)]!;
      if (index !== -1) ofPeriod[index]! += units;
    }
    smallest = Math.min(smallest, Math.exp(-logEvidence(counts, timeline)));
    days.push({ day, ...describeCounts(counts, timeline), pValue: smallest });
  }
  const byPeriod = counts.map((ofPeriod, index): VariantCount[] =>
    ofPeriod.map((observed, variant) => ({ observed, weight: periods[index]!.shares[variant]!.share })),
  );
  const chiSquare = testSampleRatioByPeriod(byPeriod);
  const units = counts.flat().reduce((sum, count) => sum + count, 0);
  return {
    units,
    chiSquare,
    anytime: chiSquare.status === 'computed' ? computed({ pValue: smallest }) : refuse(units, variantIds.length),
    days,
  };
}

function refuse(units: number, variantCount: number) {
  if (units === 0) return notComputable('no-data', 'no unit was counted');
  return notComputable('invalid-input', `a ratio needs two planned variants with units, there are ${variantCount}`);
}

function groupByDay(arrivals: readonly ArrivalCount[]): [string, ArrivalCount[]][] {
  return [...Map.groupBy(arrivals, ({ day }) => day)].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** ln of the evidence against the plan, over the periods that plan two variants or more. */
function logEvidence(counts: readonly (readonly number[])[], { periods }: Timeline): number {
  return counts.reduce((sum, ofPeriod, index) => {
    const planned = periods[index]!.shares.map(({ share }, variant) => ({ share, count: ofPeriod[variant]! }));
    const used = planned.filter(({ share }) => share > 0);
    if (used.length < 2) return sum;
    return (
      sum +
      sampleRatioLogBayesFactor(
        used.map(({ count }) => count),
        { proportions: used.map(({ share }) => share) },
      )
    );
  }, 0);
}

function describeCounts(counts: readonly (readonly number[])[], { periods }: Timeline) {
  const units = periods[0]!.shares.map((_, variant) => counts.reduce((sum, ofPeriod) => sum + ofPeriod[variant]!, 0));
  const total = units.reduce((sum, count) => sum + count, 0);
  const expectedShares = units.map((_, variant) => {
    const expected = counts.reduce((sum, ofPeriod, index) => {
      const ofAll = ofPeriod.reduce((inner, count) => inner + count, 0);
      return sum + ofAll * periods[index]!.shares[variant]!.share;
    }, 0);
    return total === 0 ? 0 : expected / total;
  });
  return { units, expectedShares };
}
