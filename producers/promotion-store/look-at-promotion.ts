// One look at a promotion, and its approval: what is due is done in one transaction, with compare-and-set and a row of the ledger.
import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import { formatPolicyVersion } from '#domain/definitions/policy.ts';
import { planEdit } from '#domain/experiment/edit-rules.ts';
import { decideLook, type LookDecision } from '#domain/promotion/decide-look.ts';
import { coverageOfShare } from '#domain/promotion/ramp-plan.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { type ChangeResult, changeCurrent } from '../definition-store/change-definition.ts';
import { findLatchRefusal } from '../definition-store/guardrail-latch.ts';
import type { ChangeAuthor } from '../definition-store/save-experiment.ts';
import { addToLedger, candidateShare, recordRollBack } from './promotion-ledger.ts';
import { PromotionRefusal } from './promotion-refusal.ts';
import {
  getPromotion,
  type LookEvidence,
  type Progress,
  type Promotion,
  readProgress,
  readPromotion,
} from './promotion-state.ts';
import type { PromotionDeps } from './start-promotion.ts';

export type LookDeps = PromotionDeps & {
  /** Guardrails and effects of the experiment as they are now. */
  readonly readEvidence: (experimentId: string) => Promise<LookEvidence>;
};

export type Look = {
  readonly promotion: Promotion;
  readonly decision: LookDecision;
  readonly progress: Progress | null;
  readonly evidence: LookEvidence | null;
};

const noEvidence: LookEvidence = { guardrails: [], sampleRatio: null, effects: [] };

/** What a look at the promotion would decide now; changes nothing. */
export async function previewLook({ pool, readEvidence }: LookDeps, experimentId: string): Promise<Look> {
  const promotion = await readPromotion(pool, experimentId);
  if (!promotion.isRunning) return { promotion, decision: describeEnd(promotion), progress: null, evidence: null };
  const progress = await readProgress(pool, promotion);
  const evidence = promotion.experiment.serving.mode === 'as_assigned' ? await readEvidence(experimentId) : noEvidence;
  return { promotion, progress, evidence, decision: decideLook({ ...progress, ...evidence }) };
}

type End = Extract<LookDecision, { action: 'done' | 'rolled-back' }>;

/** How a promotion that is not under way ended. */
export function describeEnd({ ledger, candidateVersion }: Promotion): End {
  const end = ledger.findLast(({ action }) => action === 'finish' || action === 'roll-back');
  const text = end === undefined ? 'it has ended' : `by ${end.actor} at ${end.at.toISOString()}: ${end.reason}`;
  return end?.action === 'finish'
    ? { action: 'done', reasons: [`${formatPolicyVersion(candidateVersion)} was put into production ${text}`] }
    : { action: 'rolled-back', reasons: [text] };
}

/** One look: takes the step that is due. Of several looks at once one takes it; the others see that it was taken. */
export async function lookAtPromotion(deps: LookDeps, experimentId: string, actor: string): Promise<Look> {
  const look = await previewLook(deps, experimentId);
  const { promotion, decision, progress, evidence } = look;
  if (progress === null || evidence === null) return look;
  const { experiment } = promotion;
  const record = { units: progress.units, seconds_in_step: Math.floor(progress.secondsInStep), ...evidence };
  if (decision.action === 'rolled-back') {
    // Stopped by something that keeps no ledger: the row is added now.
    const author = { actor, reason: decision.reasons.join('; ') };
    await inTransaction(deps.pool, (tx) => recordRollBack(tx, experiment, { author, evidence: record }));
    return look;
  }
  if (decision.action !== 'step') return look;
  const share = decision.share / FULL_SHARE;
  const author = { actor, reason: `ramp: the candidate gets ${share} of traffic` };
  const result = await inTransaction(deps.pool, async (tx) => {
    const changed = await changeCurrent(
      tx,
      targetOf(promotion, author),
      'experiment.promotion-step',
      async (current) => {
        const latch = await findLatchRefusal(tx, current);
        if (latch !== null || current.status !== 'running')
          return refusedBy('status', latch ?? `it is ${current.status}`);
        const plan = planEdit(current, { ...current, coverage: coverageOfShare(decision.share) });
        return plan.status === 'refused' ? refusedBy('coverage', plan.problems[0]!.message) : plan;
      },
    );
    if (changed.status !== 'changed') return changed;
    await addToLedger(tx, {
      action: 'step',
      policyVersionId: promotion.candidateVersion.policyVersionId,
      experiment: changed.experiment,
      from: { candidate_share: candidateShare(experiment) },
      to: { candidate_share: candidateShare(changed.experiment) },
      evidence: record,
      author,
    });
    return changed;
  });
  if (result.status === 'changed') return { ...look, promotion: await readPromotion(deps.pool, experimentId) };
  const why = result.status === 'stale' ? `it is at version ${result.version}` : describeResult(result);
  return { ...look, decision: { action: 'wait', reasons: [`the experiment was changed meanwhile: ${why}`] } };
}

export const refusedBy = (field: string, message: string) => ({
  status: 'refused' as const,
  problems: [{ field, message }],
});

export const targetOf = ({ experiment }: Promotion, author: ChangeAuthor) => ({
  keyOrId: experiment.experimentId,
  expectedVersion: experiment.version,
  author,
});

export const describeResult = (result: ChangeResult): string =>
  'problems' in result ? result.problems.map(({ message }) => message).join('; ') : result.status;

/** @throws PromotionRefusal that says how the promotion ended. */
export function requireRunning(promotion: Promotion, what: string): void {
  if (promotion.isRunning) return;
  const { action, reasons } = describeEnd(promotion);
  const how = action === 'done' ? 'is finished' : 'was rolled back';
  throw new PromotionRefusal(
    'refused',
    'experiment',
    `${promotion.experiment.experimentKey} cannot be ${what}: it ${how}, ${reasons.join('; ')}`,
  );
}

/** Lets the ramp go above the share at which it holds. Approving twice changes nothing. */
export async function approvePromotion(
  { pool }: PromotionDeps,
  keyOrId: string,
  author: ChangeAuthor,
): Promise<Promotion> {
  const { experiment } = await getPromotion(pool, keyOrId);
  await inTransaction(pool, async (tx) => {
    // Against a second approval and against an end in the same moment.
    await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('experiment/' || $1, 0))", [
      experiment.experimentKey,
    ]);
    const promotion = await readPromotion(tx, experiment.experimentId);
    requireRunning(promotion, 'approved');
    if (promotion.ledger.some(({ action }) => action === 'approve')) return;
    const share = candidateShare(promotion.experiment);
    const { holdAbove } = promotion.plan;
    await addToLedger(tx, {
      action: 'approve',
      policyVersionId: promotion.candidateVersion.policyVersionId,
      experiment: promotion.experiment,
      from: { candidate_share: share, approved: false },
      to: { candidate_share: share, approved: true },
      evidence: { hold_above: holdAbove === null ? null : holdAbove / FULL_SHARE },
      author,
    });
  });
  return readPromotion(pool, experiment.experimentId);
}
