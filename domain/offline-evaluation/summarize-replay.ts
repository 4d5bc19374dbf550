// From replayed plans to the figures of a replay: scores with intervals, with and without constraints, by segment, and the gate's decision.

import { isComputed, type Outcome } from '#domain/statistics/result.ts';
import { decideGate, type GateDecision, type GateTolerances } from './gate.ts';
import { estimateAcceptance, estimateKeptSlots, type LoggedValue } from './logged-value.ts';
import { comparePairs, type PairedDifference, type ResampleOptions } from './paired-difference.ts';
import { type ScoreName, scoreNames } from './plan-quality.ts';
import type { ReplayedPlan } from './replayed-plan.ts';

export type ScoreDifferences = Readonly<Record<ScoreName, Outcome<PairedDifference>>>;

export type SegmentSummary = {
  readonly dimension: string;
  readonly value: string;
  readonly alignment: Outcome<PairedDifference>;
  readonly edits: Outcome<PairedDifference>;
};

export type ReplaySummary = {
  readonly plans: number;
  readonly answeredPlans: number;
  readonly households: number;
  readonly scores: ScoreDifferences;
  /** The same without constraints: what the planners know by themselves. */
  readonly unconstrained: ScoreDifferences;
  /** Hard rules broken that could have been kept. */
  readonly avoidableViolations: {
    readonly model: number;
    readonly baseline: number;
    readonly unconstrainedModel: number;
  };
  /** Share of the slots that households changed in which the plan has what they chose. */
  readonly editedSlots: Outcome<PairedDifference>;
  readonly keptSlots: LoggedValue;
  readonly acceptance: ReturnType<typeof estimateAcceptance>;
  /** Slots per plan that the validator changed. */
  readonly interventionsPerPlan: { readonly model: number; readonly baseline: number };
  readonly modelLatencyMs: { readonly mean: number; readonly p95: number } | null;
  readonly segments: readonly SegmentSummary[];
  readonly decision: GateDecision;
};

export type SummaryOptions = ResampleOptions & { readonly tolerances: GateTolerances };

const dimensions: Readonly<Record<string, (plan: ReplayedPlan) => string>> = {
  mode: ({ request }) => request.mode,
  workflow_type: ({ request }) => request.workflow_type,
  region: ({ request }) => request.household.region,
  children: ({ request }) =>
    request.household.members.some(({ age_group }) => age_group === 'child') ? 'with children' : 'adults only',
};

/** Pure and deterministic: the same plans and options give the same figures. */
export function summarizeReplay(plans: readonly ReplayedPlan[], options: SummaryOptions): ReplaySummary {
  const scores = compareScores(plans, 'quality', options);
  const unconstrained = compareScores(plans, 'unconstrainedQuality', options);
  const sum = (value: (plan: ReplayedPlan) => number): number => plans.reduce((total, plan) => total + value(plan), 0);
  const avoidableViolations = {
    model: sum(({ model }) => model.quality.avoidableViolations.length),
    baseline: sum(({ baseline }) => baseline.quality.avoidableViolations.length),
    unconstrainedModel: sum(({ model }) => model.unconstrainedQuality.avoidableViolations.length),
  };
  const unconstrainedRespect = unconstrained.constraint_respect_score;
  return {
    plans: plans.length,
    answeredPlans: plans.filter(({ finalPlan }) => finalPlan !== null).length,
    households: new Set(plans.map(({ householdId }) => householdId)).size,
    scores,
    unconstrained,
    avoidableViolations,
    editedSlots: comparePairs(plans.flatMap(toEditedSlotPairs), options),
    keptSlots: estimateKeptSlots(plans, options),
    acceptance: estimateAcceptance(plans, options),
    interventionsPerPlan: {
      model: sum(({ model }) => model.interventions) / Math.max(1, plans.length),
      baseline: sum(({ baseline }) => baseline.interventions) / Math.max(1, plans.length),
    },
    modelLatencyMs: summarizeLatency(plans),
    segments: summarizeSegments(plans, options),
    decision: decideGate(
      {
        alignment: scores.plan_alignment_score,
        edits: scores.edit_distance_score,
        diversity: scores.diversity_score,
        avoidableViolations: avoidableViolations.model,
        unconstrainedRespect: isComputed(unconstrainedRespect) ? unconstrainedRespect.model : null,
        plans: plans.length,
      },
      options.tolerances,
    ),
  };
}

function compareScores(
  plans: readonly ReplayedPlan[],
  part: 'quality' | 'unconstrainedQuality',
  options: ResampleOptions,
): ScoreDifferences {
  const compare = (name: ScoreName): Outcome<PairedDifference> =>
    comparePairs(
      plans.flatMap(({ householdId, model, baseline }) => {
        const [ours, theirs] = [model[part].scores[name], baseline[part].scores[name]];
        return ours === null || theirs === null ? [] : [{ householdId, model: ours, baseline: theirs }];
      }),
      options,
    );
  return Object.fromEntries(scoreNames.map((name) => [name, compare(name)])) as ScoreDifferences;
}

function toEditedSlotPairs({ householdId, editedSlots, finalPlan, model, baseline }: ReplayedPlan) {
  return (editedSlots ?? []).flatMap((slotId) => {
    const find = ({ slots }: ReplayedPlan['model']['plan']) =>
      slots.find(({ slot_id }) => slot_id === slotId)?.recipe_id;
    const chosen = finalPlan === null ? undefined : find(finalPlan);
    if (chosen === undefined) return [];
    return [
      {
        householdId,
        model: find(model.plan) === chosen ? 1 : 0,
        baseline: find(baseline.plan) === chosen ? 1 : 0,
      },
    ];
  });
}

function summarizeLatency(plans: readonly ReplayedPlan[]): ReplaySummary['modelLatencyMs'] {
  const known = plans.flatMap(({ model }) => model.latencyMs ?? []).sort((a, b) => a - b);
  if (known.length === 0) return null;
  const p95 = known[Math.ceil(0.95 * known.length) - 1]!;
  return { mean: known.reduce((sum, value) => sum + value, 0) / known.length, p95 };
}

function summarizeSegments(plans: readonly ReplayedPlan[], options: ResampleOptions): SegmentSummary[] {
  return Object.entries(dimensions).flatMap(([dimension, segmentOf]) =>
    [...Map.groupBy(plans, segmentOf)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([value, part]) => {
        const scores = compareScores(part, 'quality', options);
        return { dimension, value, alignment: scores.plan_alignment_score, edits: scores.edit_distance_score };
      }),
  );
}
