// For tests: a database, an MLflow with versions of one model, and what a promotion needs besides: policies, verdicts, units, a monitor.
import { randomBytes } from 'node:crypto';
import { readLookEvidence } from '#analytics/promotion/look-evidence.ts';
import { policyIdOf, policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { parseRampPlan } from '#domain/promotion/ramp-plan.ts';
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createModelStages, stageTag } from '#platform/mlflow/model-stages.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyPolicies } from '#producers/definition-store/policy-rows.ts';
import { type Look, type LookDeps, lookAtPromotion } from '#producers/promotion-store/look-at-promotion.ts';
import { listLedger } from '#producers/promotion-store/promotion-ledger.ts';
import { getPromotion, type Promotion } from '#producers/promotion-store/promotion-state.ts';
import { type StartRequest, startPromotion } from '#producers/promotion-store/start-promotion.ts';
import { createTestDatabase } from '#tests/support/database.ts';
import { startTestMlflow } from '#tests/support/mlflow.ts';
import { type OpsPlace, opsEnvironment } from '#tests/support/ops-command.ts';
import { storeVerdict } from '#tests/support/replays.ts';
import { fillUnitTables, storeAssignments, storeEvents } from '#tests/support/results-data.ts';

const author = { actor: 'tester', reason: 'a test' };
const modelVersions = 6;

export type PromotionPlace = Awaited<ReturnType<typeof openPromotionPlace>>;

export async function openPromotionPlace() {
  const modelName = `promoted-${randomBytes(4).toString('hex')}`;
  const [database, mlflow] = await Promise.all([createTestDatabase(), startTestMlflow()]);
  const client = createMlflowClient({ url: mlflow.url });
  await client.request({ method: 'POST', path: 'registered-models/create', body: { name: modelName } });
  for (let version = 1; version <= modelVersions; version += 1) {
    const body = { name: modelName, source: `s3://test-models/${version}` };
    await client.request({ method: 'POST', path: 'model-versions/create', body, isRepeatable: true });
  }
  const pool = database.poolAs('operator');
  const models = createModelRegistry(client);
  const deps: LookDeps = {
    pool,
    models,
    stages: createModelStages(client),
    readEvidence: (id) => readLookEvidence(pool, id),
  };
  const opsPlace: OpsPlace = {
    postgresUrl: database.urlAs('operator'),
    namespace: 'none',
    erasureKey: 'none',
    settings: { MLFLOW_URL: mlflow.url },
  };
  const ops = (...args: string[]): Promise<string> => runOwnProgram('ops/main.ts', args, opsEnvironment(opsPlace));
  let batch = 0;

  return {
    modelName,
    mlflowUrl: mlflow.url,
    database,
    pool,
    deps,
    /** What a command of the command line needs, with the rights of an operator. */
    opsPlace,
    /** What a command prints. @throws with its output when it fails. */
    ops,
    /** A policy of its own with the first model version in production. */
    async createPolicy(name: string): Promise<void> {
      const version = {
        policyVersionId: policyVersionIdOf(name, 1),
        policyName: name,
        version: 1,
        modelName,
        modelVersion: '1',
        configDefaults: { max_dinners: 7 },
      };
      const policy = { policyId: policyIdOf(name), name, description: null, versions: [version] };
      await inTransaction(pool, (tx) => applyPolicies(tx, [policy], author));
      await ops('policies', 'bootstrap', `${name}@1`, '--reason', 'the first one');
    },
    judge: (version: number, verdict: 'pass' | 'fail' | 'inconclusive') =>
      storeVerdict(database.pool, { model: { name: modelName, version }, verdict }),
    /** Steps of 20 units and no time. */
    async start(policyName: string, version: number, change: Partial<StartRequest> = {}): Promise<Promotion> {
      const parsed = parseRampPlan({ minUnits: 20, minSeconds: 0 });
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
      const request = {
        model: { name: modelName, version },
        policyName,
        plan: parsed.plan,
        metrics: { primary: 'acceptance_rate', secondary: ['plan_alignment'], guardrails: [{ metric: 'latency' }] },
        analysis: { guardrail_units: 20 },
        ...change,
      };
      return (await startPromotion(deps, request, author)).promotion;
    },
    look: async (key: string): Promise<Look> =>
      lookAtPromotion(deps, (await getPromotion(pool, key)).experiment.experimentId, 'tester'),
    /** What the guardrail monitor says when it has looked. */
    watch: (idleReason: string | null = null) =>
      database.pool.query('UPDATE exp.guardrail_lease SET looked_at = clock_timestamp(), idle_reason = $1', [
        idleReason,
      ]),
    tagsOf: async (version: number) =>
      (await models.listVersions(modelName))!.find((known) => known.version === version)!.tags[stageTag],
    actionsOf: async (key: string) => (await listLedger(pool, { keyOrId: key })).map(({ action }) => action),
    /** New units that meet both variants now, each with one plan; the candidate takes `factor` times as long. */
    async addUnits({ experiment, control, candidate }: Promotion, factor = 1): Promise<void> {
      batch += 1;
      const units = Array.from({ length: 60 }, (_, index) => ({
        unitId: `unit-${batch}-${index}`,
        variantId: (index % 2 === 0 ? control : candidate).variantId as string,
        atMs: Date.now(),
      }));
      await storeAssignments(database.pool, experiment.experimentId, units, 'household');
      await storeEvents(
        database.pool,
        experiment.experimentId,
        units.map(({ unitId, variantId, atMs }, index) => ({
          unitId,
          variantId,
          type: 'plan_generated',
          atMs: atMs + 1,
          metrics: {
            latency_ms: (900 + (index % 7)) * (index % 2 === 1 ? factor : 1),
            accepted: index % 3 === 0 ? 0 : 1,
            plan_alignment_score: index % 2 === 1 ? 0.8 : 0.7,
          },
        })),
        'household',
      );
      await fillUnitTables(database.pool);
    },
    async close(): Promise<void> {
      await database.drop();
      await mlflow.stop();
    },
  };
}
