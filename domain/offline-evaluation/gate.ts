// The gate: four criteria with tolerances, each passed, failed or open, and the verdict that follows from them.

import { isComputed, type Outcome } from '#domain/statistics/result.ts';
import type { PairedDifference } from './paired-difference.ts';

export type Verdict = 'pass' | 'fail' | 'inconclusive';
export const criterionNames = ['alignment', 'constraints', 'edits', 'diversity'] as const;
export type CriterionName = (typeof criterionNames)[number];

export type GateTolerances = {
  /** plan_alignment_score may be lower than the baseline's by at most this, 0..1. */
  readonly alignmentLoss: number;
  /** edit_distance_score must be higher than the baseline's by more than this, 0..1. */
  readonly editGain: number;
  /** diversity_score may be lower than the baseline's by at most this, 0..1. */
  readonly diversityLoss: number;
  /** Least constraint_respect_score of the plans that are decoded without constraints, 0..1. */
  readonly unconstrainedRespect: number;
  /** Fewer households than this decide nothing. */
  readonly smallestHouseholds: number;
};

export const defaultTolerances: GateTolerances = {
  alignmentLoss: 0.02,
  editGain: 0,
  diversityLoss: 0.05,
  unconstrainedRespect: 0.95,
  smallestHouseholds: 30,
};

export type GateEvidence = {
  readonly alignment: Outcome<PairedDifference>;
  readonly edits: Outcome<PairedDifference>;
  readonly diversity: Outcome<PairedDifference>;
  /** Of the model, in the plans as they would be served. */
  readonly avoidableViolations: number;
  /** Mean constraint_respect_score of the model without constraints; null without plans. */
  readonly unconstrainedRespect: number | null;
  readonly plans: number;
};

export type Criterion = { readonly name: CriterionName; readonly verdict: Verdict; readonly reason: string };
export type GateDecision = { readonly verdict: Verdict; readonly criteria: readonly Criterion[] };

/**
 * Fails when one criterion fails, is inconclusive when one is, and passes only when all pass. A model with one avoidable
 * violation fails, whatever else it can do.
 */
export function decideGate(evidence: GateEvidence, tolerances: GateTolerances): GateDecision {
  const { alignmentLoss, editGain, diversityLoss, smallestHouseholds } = tolerances;
  const margin = (name: CriterionName, outcome: Outcome<PairedDifference>, least: number): Criterion =>
    judgeDifference(name, outcome, { least, smallestHouseholds });
  const criteria = [
    margin('alignment', evidence.alignment, -alignmentLoss),
    judgeConstraints(evidence, tolerances),
    margin('edits', evidence.edits, editGain),
    margin('diversity', evidence.diversity, -diversityLoss),
  ];
  const has = (verdict: Verdict): boolean => criteria.some((criterion) => criterion.verdict === verdict);
  return { verdict: has('fail') ? 'fail' : has('inconclusive') ? 'inconclusive' : 'pass', criteria };
}

/** Passes when the whole interval lies above `least`, fails when all of it lies at or below. */
function judgeDifference(
  name: CriterionName,
  outcome: Outcome<PairedDifference>,
  { least, smallestHouseholds }: { least: number; smallestHouseholds: number },
): Criterion {
  if (!isComputed(outcome)) return { name, verdict: 'inconclusive', reason: outcome.detail };
  const { model, baseline, difference, lower, upper, households } = outcome;
  const figures = `${digits(model)} against ${digits(baseline)}, difference ${digits(difference)} (${digits(lower)} to ${digits(upper)})`;
  const bound = `above ${digits(least)} is wanted`;
  if (households < smallestHouseholds) {
    const reason = `${figures} rests on ${households} households, and ${smallestHouseholds} are needed`;
    return { name, verdict: 'inconclusive', reason };
  }
  const verdict = lower > least ? 'pass' : upper <= least ? 'fail' : 'inconclusive';
  return { name, verdict, reason: `${figures}; ${bound}` };
}

function judgeConstraints(evidence: GateEvidence, tolerances: GateTolerances): Criterion {
  const { avoidableViolations, unconstrainedRespect, plans } = evidence;
  const { unconstrainedRespect: least } = tolerances;
  const name = 'constraints';
  if (avoidableViolations > 0) {
    const reason = `the plans break ${avoidableViolations} hard rule${avoidableViolations === 1 ? '' : 's'} that could have been kept`;
    return { name, verdict: 'fail', reason };
  }
  if (unconstrainedRespect === null) return { name, verdict: 'inconclusive', reason: 'there is no plan to check' };
  const reason = `no hard rule is broken in ${plans} plans; without constraints respect is ${digits(unconstrainedRespect)}, and ${digits(least)} is the least`;
  return { name, verdict: unconstrainedRespect >= least ? 'pass' : 'fail', reason };
}

const digits = (value: number): string => String(Number(value.toFixed(4)));
