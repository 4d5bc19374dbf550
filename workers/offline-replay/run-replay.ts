// One offline replay: model and baseline plan the test split again, the gate decides, and a pass makes the version a candidate.
import { createHash } from 'node:crypto';
import type { GateTolerances } from '#domain/offline-evaluation/gate.ts';
import { assessPlan } from '#domain/offline-evaluation/plan-quality.ts';
import type { AssessedAnswer, PlannerAnswer, ReplayedPlan } from '#domain/offline-evaluation/replayed-plan.ts';
import { summarizeReplay } from '#domain/offline-evaluation/summarize-replay.ts';
import { FatalError } from '#platform/errors.ts';
import type { MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createModelStages, stageTag } from '#platform/mlflow/model-stages.ts';
import { createTracking } from '#platform/mlflow/tracking.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import { withSessionLock } from '#platform/postgres/session-lock.ts';
import { baselineModelName, registerBaseline } from '#producers/definition-store/register-baseline.ts';
import type { ModelReference } from './config.ts';
import { planAllByModel, planAllByRules } from './planners.ts';
import { readTestSplit, type TestSplit } from './read-test-split.ts';
import type { ModelProcess } from './score-candidates.ts';
import { findReplay, type ReplayIdentity, type StoredReplay, storeReplay } from './store-replay.ts';

/** Grows when the same inputs would give other figures. */
const replayVersion = 1;

export type ReplayOptions = {
  readonly model: ModelReference;
  readonly datasetVersion: string;
  /** The rule-based planner of this release when absent. */
  readonly baseline?: ModelReference | undefined;
  readonly seed: number;
  readonly samples: number;
  readonly tolerances: GateTolerances;
};

export type ReplayDeps = {
  readonly pool: Pool;
  readonly objectStore: ObjectStore;
  readonly mlflow: MlflowClient;
  readonly process: Omit<ModelProcess, 'mlflowUrl'>;
};

export type ReplayResult = StoredReplay & {
  readonly baseline: ModelReference;
  /** The same replay had been done before: its result is given. */
  readonly alreadyExisted: boolean;
  /** What the tag `stage` of the model version says now. */
  readonly stage: string | null;
};

/** Idempotent by model, dataset, baseline and settings: whatever a crash leaves, the next run finishes it once. */
export async function runReplay(options: ReplayOptions, deps: ReplayDeps): Promise<ReplayResult> {
  const { datasetVersion, seed, samples, tolerances } = options;
  const model = await findVersion(deps.mlflow, options.model);
  const baseline = await findVersion(deps.mlflow, options.baseline);
  if (model.name === baseline.name && model.version === baseline.version) {
    throw refuse(`${nameOf(model)} cannot be compared with itself`);
  }
  const settings = { replayVersion, seed, samples, ...tolerances };
  const replayKey = createHash('sha256')
    .update(JSON.stringify([nameOf(model), nameOf(baseline), datasetVersion, Object.entries(settings).sort()]))
    .digest('hex');
  return withSessionLock(deps.pool, `offline-replay/${replayKey}`, async (client) => {
    const known = await findReplay(client, replayKey);
    const stored = known ?? (await replay({ ...options, baseline, settings, replayKey }, { ...deps, client }));
    const stage = await markCandidate(deps.mlflow, model, stored.verdict);
    return { ...stored, baseline, stage, alreadyExisted: known !== null };
  });
}

async function replay(
  options: ReplayOptions & {
    readonly baseline: ModelReference;
    readonly settings: Readonly<Record<string, number>>;
    readonly replayKey: string;
  },
  { client, objectStore, mlflow, process }: ReplayDeps & { readonly client: PoolClient },
): Promise<StoredReplay> {
  const { model, baseline, datasetVersion, seed, samples, tolerances, settings, replayKey } = options;
  const split = await readTestSplit(client, objectStore, datasetVersion);
  const planAll = (planner: ModelReference): Promise<PlannerAnswer[]> =>
    planner.name === baselineModelName
      ? Promise.resolve(planAllByRules(split, seed))
      : planAllByModel(split, nameOf(planner), { ...process, mlflowUrl: mlflow.url });
  const plans = assessAll(split, await planAll(model), await planAll(baseline));
  const summary = summarizeReplay(plans, { seed, samples, tolerances });
  const origin = await readOrigin(mlflow, model);
  return storeReplay(
    { replayKey, model, origin, baseline, datasetVersion, datasetAddress: split.address, settings },
    plans,
    summary,
    { client, objectStore, tracking: createTracking(mlflow) },
  );
}

function assessAll(
  { plans, catalogueAt }: TestSplit,
  ofModel: readonly PlannerAnswer[],
  ofBaseline: readonly PlannerAnswer[],
): ReplayedPlan[] {
  return plans.map(({ modelInputText: _, ...logged }, index) => {
    const catalogue = catalogueAt(logged.request.requested_at);
    const assess = (answer: PlannerAnswer): AssessedAnswer => ({
      ...answer,
      quality: assessPlan(answer.plan, { ...logged, catalogue }),
      unconstrainedQuality: assessPlan(answer.unconstrainedPlan, { ...logged, catalogue }),
    });
    return { ...logged, model: assess(ofModel[index]!), baseline: assess(ofBaseline[index]!) };
  });
}

const refuse = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });
const nameOf = ({ name, version }: ModelReference): string => `${name}/${version}`;

/** The wanted version, or the rule-based planner. That one runs from this release, so only the version registered for it can be used. */
async function findVersion(mlflow: MlflowClient, wanted: ModelReference | undefined): Promise<ModelReference> {
  if (wanted !== undefined && wanted.name !== baselineModelName) {
    const found = await createModelRegistry(mlflow).lookUp(wanted.name, String(wanted.version));
    if (found.state === 'ready') return wanted;
    throw refuse(`model ${wanted.name} version ${wanted.version} cannot be used: ${found.explanation}`);
  }
  const { version } = await registerBaseline(mlflow);
  if (wanted !== undefined && wanted.version !== version) {
    throw refuse(
      `${nameOf(wanted)} is the planner of another release: this release has ${baselineModelName}/${version}`,
    );
  }
  return { name: baselineModelName, version };
}

/** Kept with the verdict, so that lineage can go on when the registry has lost the version. */
async function readOrigin(mlflow: MlflowClient, { name, version }: ModelReference): Promise<ReplayIdentity['origin']> {
  const found = await createModelRegistry(mlflow).lookUp(name, String(version));
  if (found.state !== 'ready') return { trainingRunId: null, datasetVersion: null };
  return { trainingRunId: found.modelVersion.runId, datasetVersion: found.modelVersion.tags.dataset_version ?? null };
}

/** A passed version that nothing else has been said of becomes a candidate; one that is further keeps its stage. */
async function markCandidate(
  mlflow: MlflowClient,
  { name, version }: ModelReference,
  verdict: StoredReplay['verdict'],
): Promise<string | null> {
  const found = await createModelRegistry(mlflow).lookUp(name, String(version));
  const stage = found.state === 'ready' ? (found.modelVersion.tags[stageTag] ?? null) : null;
  if (verdict !== 'pass' || (stage !== null && stage !== 'trained')) return stage;
  await createModelStages(mlflow).markCandidate(name, version);
  return 'candidate';
}
