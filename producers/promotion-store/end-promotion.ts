// The ends of a promotion: the candidate into production, or back to what was there before; one transaction each, then MLflow follows.
import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import type { StoredPolicyVersion } from '#domain/definitions/policy.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { type LifecycleCommand, planLifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { changeCurrent } from '../definition-store/change-definition.ts';
import type { Connection } from '../definition-store/definition-rows.ts';
import { findModelProblem } from '../definition-store/model-check.ts';
import { listPolicies, lockPolicies, setVersionStatus } from '../definition-store/policy-rows.ts';
import type { ChangeAuthor } from '../definition-store/save-experiment.ts';
import { type Alignment, alignModels } from './align-models.ts';
import {
  describeEnd,
  describeResult,
  type LookDeps,
  previewLook,
  refusedBy,
  requireRunning,
  targetOf,
} from './look-at-promotion.ts';
import {
  addToLedger,
  candidateShare,
  endRunning,
  type LedgerAction,
  listRunning,
  recordRollBack,
} from './promotion-ledger.ts';
import { PromotionRefusal } from './promotion-refusal.ts';
import { getPromotion, type Promotion, readPromotion } from './promotion-state.ts';
import type { PromotionDeps } from './start-promotion.ts';

export type EndedPromotion = {
  readonly promotion: Promotion;
  /** False when it had ended like this before. */
  readonly isNew: boolean;
  readonly mlflow: Alignment;
};

const refuse = (message: string): PromotionRefusal => new PromotionRefusal('refused', 'experiment', message);

/** Reads the promotion again and brings the models in line whose alias its end may have moved. */
async function conclude(
  { pool, stages }: PromotionDeps,
  experimentId: string,
  isNew: boolean,
): Promise<EndedPromotion> {
  const promotion = await readPromotion(pool, experimentId);
  const models = [promotion.controlVersion.modelName, promotion.candidateVersion.modelName];
  return { promotion, isNew, mlflow: await alignModels(pool, stages, models) };
}

async function runCommand(
  tx: Connection,
  promotion: Promotion,
  command: LifecycleCommand,
  { action, author }: { action: string; author: ChangeAuthor },
): Promise<Experiment> {
  const result = await changeCurrent(tx, targetOf(promotion, author), action, (current) => {
    const plan = planLifecycleCommand(current, command);
    return plan.status === 'refused' ? refusedBy('experiment', plan.message) : plan;
  });
  if (result.status === 'changed' || result.status === 'unchanged') return result.experiment;
  const { experimentKey } = promotion.experiment;
  throw refuse(
    result.status === 'stale'
      ? `${experimentKey} was changed meanwhile (version ${result.version}): look at it again and decide again`
      : describeResult(result),
  );
}

async function moveVersion(
  tx: Connection,
  version: StoredPolicyVersion,
  {
    action,
    status,
    experiment,
    author,
    ...rest
  }: {
    action: LedgerAction;
    status: StoredPolicyVersion['status'];
    experiment: Experiment;
    author: ChangeAuthor;
    from?: object;
    to?: object;
    evidence?: Readonly<Record<string, unknown>>;
  },
): Promise<void> {
  await setVersionStatus(tx, version, status, author);
  await addToLedger(tx, {
    action,
    policyVersionId: version.policyVersionId,
    experiment,
    from: { status: version.status, ...rest.from },
    to: { status, ...rest.to },
    ...(rest.evidence === undefined ? {} : { evidence: rest.evidence }),
    author,
  });
}

/**
 * Delivers the candidate to all and puts it into production; its predecessors are retired. Refused before the ramp has held at its
 * last step, unless forced with a reason. Repeating it changes nothing and brings MLflow in line.
 * @throws PromotionRefusal with nothing written.
 */
export async function finishPromotion(
  deps: LookDeps,
  keyOrId: string,
  { author, force }: { author: ChangeAuthor; force?: string | undefined },
): Promise<EndedPromotion> {
  const found = await getPromotion(deps.pool, keyOrId);
  const id = found.experiment.experimentId;
  if (!found.isRunning && describeEnd(found).action === 'done') return conclude(deps, id, false);
  requireRunning(found, 'finished');
  const problem = await findModelProblem(deps.models, found.candidateVersion);
  if (problem !== null) {
    throw new PromotionRefusal(problem.kind === 'missing' ? 'refused' : 'unchecked', 'experiment', problem.message);
  }
  const { promotion, decision, progress, evidence } = await previewLook(deps, id);
  const { experimentKey } = promotion.experiment;
  if (decision.action === 'rolled-back') throw refuse(`${experimentKey} has ended: ${decision.reasons.join('; ')}`);
  if (decision.action !== 'done' && force === undefined) {
    const reasons =
      decision.action === 'step' ? [`the step to ${decision.share / FULL_SHARE} is due`] : decision.reasons;
    throw refuse(
      `${experimentKey} is not at the end of its ramp: ${reasons.join('; ')}. ` +
        'A reason with --force, which is recorded, finishes it all the same',
    );
  }
  const { candidateVersion, candidate } = promotion;
  await inTransaction(deps.pool, async (tx) => {
    await lockPolicies(tx);
    const command = { kind: 'complete', winner: candidate.variantId } as const;
    const experiment = await runCommand(tx, promotion, command, { action: 'experiment.promotion-finish', author });
    if ((await endRunning(tx, id)) === null) throw refuse(`${experimentKey} has ended meanwhile`);
    const policy = (await listPolicies(tx)).find(({ name }) => name === candidateVersion.policyName)!;
    for (const version of policy.versions.filter(({ status }) => status === 'production')) {
      await moveVersion(tx, version, { action: 'retire', status: 'retired', experiment, author });
    }
    // Commit point: with this transaction the candidate is production. The alias and the tags in MLflow follow.
    await moveVersion(tx, candidateVersion, {
      action: 'finish',
      status: 'production',
      experiment,
      author,
      from: { candidate_share: candidateShare(promotion.experiment) },
      to: { candidate_share: 1, serving: 'all_to' },
      evidence: {
        ...(force === undefined ? {} : { forced: force }),
        replay: promotion.ledger.find(({ action }) => action === 'start')?.evidence.replay ?? null,
        units: progress?.units ?? null,
        ...evidence,
      },
    });
  });
  return conclude(deps, id, true);
}

/**
 * Stops a promotion that is under way, so that callers get their default; or takes a finished one back: everybody gets what control
 * delivers, which is in production again. Assignments stay as they are. Repeating it changes nothing.
 * @throws PromotionRefusal with nothing written.
 */
export async function rollBackPromotion(
  deps: LookDeps,
  keyOrId: string,
  author: ChangeAuthor,
): Promise<EndedPromotion> {
  const promotion = await getPromotion(deps.pool, keyOrId);
  const id = promotion.experiment.experimentId;
  if (promotion.isRunning) {
    const evidence = await deps.readEvidence(id);
    await inTransaction(deps.pool, async (tx) => {
      const stopped = await runCommand(
        tx,
        promotion,
        { kind: 'complete', winner: null },
        { action: 'experiment.promotion-roll-back', author },
      );
      if (!(await recordRollBack(tx, stopped, { author, evidence }))) throw refuse(`${keyOrId} has ended meanwhile`);
    });
    return conclude(deps, id, true);
  }
  if (describeEnd(promotion).action === 'rolled-back') return conclude(deps, id, false);
  await takeBack(deps, promotion, author);
  return conclude(deps, id, true);
}

async function takeBack({ pool }: PromotionDeps, promotion: Promotion, author: ChangeAuthor): Promise<void> {
  const { experiment, control, candidateVersion, controlVersion } = promotion;
  await inTransaction(pool, async (tx) => {
    await lockPolicies(tx);
    const policy = (await listPolicies(tx)).find(({ name }) => name === candidateVersion.policyName)!;
    const current = policy.versions.find(
      ({ policyVersionId }) => policyVersionId === candidateVersion.policyVersionId,
    )!;
    if (current.status !== 'production') {
      throw refuse(
        `${experiment.experimentKey} cannot be taken back: what it put into production is ${current.status} by now`,
      );
    }
    if ((await listRunning(tx)).some(({ policyId }) => policyId === policy.policyId)) {
      throw refuse(`policy ${policy.name} has another promotion under way: roll that back first`);
    }
    const served = await runCommand(
      tx,
      promotion,
      { kind: 'promote', variantId: control.variantId },
      { action: 'experiment.promotion-roll-back', author },
    );
    const to = { candidate_share: 0, serving: 'all_to control' };
    await moveVersion(tx, current, { action: 'roll-back', status: 'retired', experiment: served, author, to });
    await moveVersion(tx, controlVersion, { action: 'reinstate', status: 'production', experiment: served, author });
  });
}
