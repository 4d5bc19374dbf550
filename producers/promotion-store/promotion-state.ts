// A promotion as it is now: its experiment, what the candidate gets, and everything that the next look is decided by.

import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import { formatPolicyVersion, type StoredPolicyVersion } from '#domain/definitions/policy.ts';
import { type Experiment, policyVersionIdIn, type Variant } from '#domain/experiment/experiment.ts';
import { trafficShareOf } from '#domain/experiment/traffic-share.ts';
import type { GuardrailState, LookState } from '#domain/promotion/decide-look.ts';
import { fromRampDocument, type RampPlan } from '#domain/promotion/ramp-plan.ts';
import { type Connection, listDefinitionsById } from '../definition-store/definition-rows.ts';
import { findLatchRefusal } from '../definition-store/guardrail-latch.ts';
import { listPolicies } from '../definition-store/policy-rows.ts';
import { type LedgerRow, listLedger, listRunning } from './promotion-ledger.ts';
import { PromotionRefusal } from './promotion-refusal.ts';

/** The monitor looks every second; after this long without a look nobody watches. */
const watchedWithinSeconds = 30;

export type Promotion = {
  readonly experiment: Experiment;
  readonly control: Variant;
  readonly candidate: Variant;
  readonly controlVersion: StoredPolicyVersion;
  readonly candidateVersion: StoredPolicyVersion;
  readonly plan: RampPlan;
  /** Basis points of all units. */
  readonly share: number;
  readonly isRunning: boolean;
  /** Of this experiment, oldest first. */
  readonly ledger: readonly LedgerRow[];
};

/** What the data say, read where results are computed. */
export type LookEvidence = {
  readonly guardrails: readonly GuardrailState[];
  readonly sampleRatio: string | null;
  /** Effects of the candidate on every metric, for the record. */
  readonly effects: readonly Readonly<Record<string, unknown>>[];
};

/** Experiments that are promotions, the latest start last; ids. */
export async function listPromotionIds(connection: Connection, keyOrId: string | null): Promise<string[]> {
  const { rows } = await connection.query<{ id: string }>(
    `SELECT l.experiment_id AS id FROM exp.promotions l JOIN exp.experiments x ON x.id = l.experiment_id
     WHERE l.action = 'start' AND ($1::text IS NULL OR x.key = $1 OR x.id::text = $1) ORDER BY l.id`,
    [keyOrId],
  );
  return rows.map(({ id }) => id);
}

/** The latest promotion with this experiment key, or the one with this experiment id. @throws PromotionRefusal when there is none. */
export async function getPromotion(connection: Connection, keyOrId: string): Promise<Promotion> {
  const id = (await listPromotionIds(connection, keyOrId)).at(-1);
  if (id === undefined) {
    throw new PromotionRefusal(
      'unknown',
      'experiment',
      `there is no promotion ${keyOrId}: \`ops promote status\` lists them`,
    );
  }
  return readPromotion(connection, id);
}

export async function readPromotion(connection: Connection, experimentId: string): Promise<Promotion> {
  const [stored] = await listDefinitionsById(connection, [experimentId]);
  const ledger = await listLedger(connection, { keyOrId: experimentId });
  const running = (await listRunning(connection)).some((row) => row.experimentId === experimentId);
  const experiment = stored!.experiment;
  const control = experiment.variants.find(({ isControl }) => isControl);
  const candidate = experiment.variants.find(({ isControl }) => !isControl);
  const plan = fromRampDocument(experiment.ramp);
  const versions = (await listPolicies(connection)).flatMap((policy) => policy.versions);
  const versionOf = (variant: Variant | undefined) =>
    versions.find(({ policyVersionId }) => policyVersionId === policyVersionIdIn(variant?.config ?? {}));
  const [controlVersion, candidateVersion] = [versionOf(control), versionOf(candidate)];
  if (!control || !candidate || plan === null || !controlVersion || !candidateVersion) {
    throw new PromotionRefusal(
      'refused',
      'experiment',
      `experiment ${experiment.experimentKey} has not the variants and the ramp of a promotion any more`,
    );
  }
  const share = Math.round(trafficShareOf(experiment.coverage, candidate.allocation) * FULL_SHARE);
  return { experiment, control, candidate, controlVersion, candidateVersion, plan, share, isRunning: running, ledger };
}

export type Progress = Omit<LookState, keyof LookEvidence>;

/** What the next look is decided by, apart from results. */
export async function readProgress(connection: Connection, promotion: Promotion): Promise<Progress> {
  const { experiment, control, candidate, plan, share, ledger } = promotion;
  const began = ledger.findLast(({ action }) => action === 'step' || action === 'start')!;
  const { rows } = await connection.query<{ variant_id: string; units: number }>(
    `SELECT assigned_variant_id AS variant_id, count(DISTINCT unit_id)::float8 AS units FROM exp.v_exposed_units
     WHERE experiment_id = $1 AND assigned_variant_id = variant_id
       AND assigned_at >= (SELECT at FROM exp.promotions WHERE id = $2) GROUP BY 1`,
    [experiment.experimentId, began.id],
  );
  const unitsOf = ({ variantId }: Variant): number => rows.find((row) => row.variant_id === variantId)?.units ?? 0;
  const clock = await connection.query<{ seconds: number }>(
    'SELECT extract(epoch FROM clock_timestamp() - at)::float8 AS seconds FROM exp.promotions WHERE id = $1',
    [began.id],
  );
  return {
    status: experiment.status,
    serving: experiment.serving.mode,
    plan,
    share,
    units: { control: unitsOf(control), candidate: unitsOf(candidate) },
    secondsInStep: clock.rows[0]!.seconds,
    latch: await findLatchRefusal(connection, experiment),
    unwatched: await findUnwatched(connection),
    isApproved: ledger.some(({ action }) => action === 'approve'),
  };
}

async function findUnwatched(connection: Connection): Promise<string | null> {
  const { rows } = await connection.query<{ seconds: number | null; idle_reason: string | null }>(
    'SELECT extract(epoch FROM clock_timestamp() - looked_at)::float8 AS seconds, idle_reason FROM exp.guardrail_lease',
  );
  const { seconds = null, idle_reason: idleReason = null } = rows[0] ?? {};
  if (seconds === null) return 'nobody watches the guardrails: guardrail-monitor has not looked yet';
  if (seconds > watchedWithinSeconds) {
    return `nobody watches the guardrails: guardrail-monitor has not looked for ${Math.round(seconds)} s`;
  }
  return idleReason === null ? null : `guardrail-monitor rests: ${idleReason}`;
}

export const describeVersion = (version: StoredPolicyVersion): string =>
  `${formatPolicyVersion(version)} (${version.modelName}/${version.modelVersion})`;
