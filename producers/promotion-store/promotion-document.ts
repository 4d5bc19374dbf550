// The JSON form of a promotion and of a look at it, the same on the command line and over HTTP; shares are decimals.
import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import { formatPolicyVersion } from '#domain/definitions/policy.ts';
import { describeEnd, type Look } from './look-at-promotion.ts';
import type { Promotion } from './promotion-state.ts';

const share = (basisPoints: number): number => basisPoints / FULL_SHARE;

export type PromotionDocument = ReturnType<typeof toPromotionDocument>;

export function toPromotionDocument(promotion: Promotion) {
  const { experiment, candidateVersion, controlVersion, control, candidate, plan, isRunning, ledger } = promotion;
  const start = ledger.find(({ action }) => action === 'start');
  const state = isRunning ? 'running' : describeEnd(promotion).action === 'done' ? 'finished' : 'rolled-back';
  return {
    experiment_key: experiment.experimentKey as string,
    experiment_id: experiment.experimentId as string,
    iteration: experiment.iteration,
    experiment_version: experiment.version,
    state: state as 'running' | 'finished' | 'rolled-back',
    policy_version_id: candidateVersion.policyVersionId as string,
    policy_version: formatPolicyVersion(candidateVersion),
    model: `${candidateVersion.modelName}/${candidateVersion.modelVersion}`,
    control_policy_version: formatPolicyVersion(controlVersion),
    control_model: `${controlVersion.modelName}/${controlVersion.modelVersion}`,
    candidate_share: isRunning ? share(promotion.share) : state === 'finished' ? 1 : 0,
    steps: plan.steps.map(share),
    hold_above: plan.holdAbove === null ? null : share(plan.holdAbove),
    approved: ledger.some(({ action }) => action === 'approve'),
    min_units: plan.minUnits,
    min_seconds: plan.minSeconds,
    variants: { control: control.variantId as string, candidate: candidate.variantId as string },
    started_at: start?.at.toISOString() ?? null,
    started_by: start?.actor ?? null,
  };
}

export function toLookDocument({ promotion, decision, progress, evidence }: Look) {
  return {
    ...toPromotionDocument(promotion),
    decision: decision.action,
    reasons: decision.action === 'step' ? [`the step to ${share(decision.share)} of traffic`] : decision.reasons,
    units: progress?.units ?? null,
    seconds_in_step: progress === null ? null : Math.floor(progress.secondsInStep),
    guardrails: evidence?.guardrails ?? [],
  };
}
