// The way into production, three times: a model that passes, one that the gate stops, and one that is rolled back while it serves.
import { setTimeout as sleep } from 'node:timers/promises';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelStages, productionAlias } from '#platform/mlflow/model-stages.ts';
import type { ServedTrafficResult } from '#producers/planner-traffic/served-traffic.ts';
import { StackError } from '../../local/stack-error.ts';
import { policyName } from './data-stages.ts';
import { modelName, type TrainedModel } from './model-stages.ts';
import type { Place } from './place.ts';
import { describePlans, type Serving } from './serving.ts';
import type { Story } from './story.ts';
import { findTippingTime, slowPlans } from './tipping-time.ts';

/** Small steps for a demonstration: the defaults are 100 units of each variant and an hour per step. Goal and guardrails are the defaults. */
const demonstration = { steps: '0.05,0.1,0.25,0.5', minUnits: 8, minTime: 2, guardrailUnits: 10 } as const;
const householdsPerStep = 400;
const stepDeadlineMs = 60_000;
const rollbackLimitSeconds = 10;

type Promotion = {
  experiment_key: string;
  experiment_id: string;
  iteration: number;
  policy_version: string;
  policy_version_id: string;
  candidate_share: number;
  state: string;
  variants: { control: string; candidate: string };
};
type Look = Promotion & { decision: string; reasons: string[] };

const start = (
  { model }: TrainedModel,
  reason: string,
  { steps = demonstration.steps as string, more = [] as readonly string[] } = {},
): string[] => [
  ...['promote', 'start', model, '--policy', policyName, '--reason', reason],
  ...['--steps', steps, '--min-units', String(demonstration.minUnits)],
  ...['--min-time', String(demonstration.minTime), '--guardrail-units', String(demonstration.guardrailUnits)],
  ...more,
];

/** What a run that was broken off has left under way. */
export async function endPromotions(place: Place): Promise<void> {
  const { promotions } = await place.ops<{ promotions: Promotion[] }>('promote', 'status');
  for (const { experiment_key, state } of promotions)
    if (state === 'running') await place.runOps(['promote', 'roll-back', experiment_key, '--reason', 'begun again']);
}

async function look(place: Place, experiment: string, quiet = true): Promise<Look> {
  const { exitCode, stdout, stderr } = await place.runOps(['promote', 'check', experiment, '--json'], { quiet });
  if (stdout.trim() === '') throw new StackError(`promote check failed (exit code ${exitCode}).\n${stderr}`);
  return (JSON.parse(stdout) as { promotions: Look[] }).promotions[0]!;
}

/** Looks until the ramp does something else than wait. */
async function lookUntilDecided(place: Place, story: Story, experiment: string): Promise<Look> {
  const deadline = Date.now() + stepDeadlineMs;
  for (;;) {
    const found = await look(place, experiment);
    if (found.decision !== 'wait') return found;
    story.progress(`waits: ${found.reasons.join('; ')}`);
    if (Date.now() > deadline) return found;
    await sleep(1_000);
  }
}

/** On a busy machine the rules may make a plan whose model took too long; no other model may. */
const isServedBy = ({ plans }: ServedTrafficResult, model: string): boolean =>
  (plans.byPlanner[model] ?? 0) >= 0.9 * plans.total &&
  Object.keys(plans.byPlanner).every((planner) => planner === model || planner === 'rule-based');

const percent = (share: number): string => `${Number((share * 100).toFixed(2))} %`;

/** The assignment of a household to the model where an earlier run has promoted it; null else. */
export async function findPromoted(place: Place, { model }: TrainedModel): Promise<string | null> {
  const { rows } = await place.pool.query<{ assignment: string }>(
    `SELECT l.experiment_key || '#' || l.iteration || '/' || a.unit_id AS assignment
     FROM exp.v_lineage l JOIN exp.policy_versions v ON v.id = l.policy_version_id JOIN exp.assignments a USING (experiment_id, variant_id)
     WHERE v.status = 'production' AND l.mlflow_model_name || '/' || l.mlflow_model_version = $1 AND NOT l.is_control
     ORDER BY a.assigned_at LIMIT 1`,
    [model],
  );
  return rows[0]?.assignment ?? null;
}

/** Case 1. Gives a household that got the model, for lineage. */
export async function promote(place: Place, story: Story, serving: Serving, good: TrainedModel): Promise<string> {
  story.stage(
    'The model that passed gets a small share of traffic',
    'Its policy version becomes the candidate of a new experiment, beside the rules, which are in production. Steps are short here: 8 households per variant and 2 s, where the defaults are 100 and an hour.',
  );
  const started = await place.ops<Promotion>(...start(good, 'it passed the gate'));
  const { experiment_key: experiment } = started;
  story.tell(`${started.policy_version} is ${good.model}; it gets ${percent(started.candidate_share)} of traffic`);
  story.check('the candidate begins at no more than 10 % of traffic', started.candidate_share <= 0.1);

  story.stage(
    'The ramp',
    'New households ask the planner service, which serves rules or model as they were assigned; each look takes a step when the guardrails hold.',
  );
  let decided: Look;
  do {
    const served = await serving.sendHouseholds(householdsPerStep);
    story.tell(describePlans(served));
    decided = await lookUntilDecided(place, story, experiment);
    story.tell(`look: ${decided.decision}, ${decided.reasons.join('; ')}`);
    if (decided.decision !== 'hold') continue;
    await place.ops('promote', 'approve', experiment, '--reason', 'the first steps look well');
    decided = await lookUntilDecided(place, story, experiment);
    story.tell(`look: ${decided.decision}, ${decided.reasons.join('; ')}`);
  } while (decided.decision === 'step');
  story.check('the ramp has reached its last step with its guardrails whole', decided.decision === 'done');

  story.stage('The model goes into production', 'Everybody gets it; its predecessor, the rules, is retired.');
  await place.ops('promote', 'finish', experiment, '--reason', 'the ramp held');
  const { rows } = await place.pool.query<{ name: string; status: string }>(
    `SELECT p.name || '@' || v.version AS name, v.status FROM exp.policy_versions v JOIN exp.policies p ON p.id = v.policy_id
     WHERE p.name = $1 ORDER BY v.version`,
    [policyName],
  );
  for (const { name, status } of rows) story.tell(`${name}: ${status}`);
  const statusOf = (name: string): string | undefined => rows.find((row) => row.name === name)?.status;
  story.check('the candidate is in production', statusOf(started.policy_version) === 'production');
  story.check('the baseline is retired', statusOf(`${policyName}@1`) === 'retired');
  const stages = createModelStages(createMlflowClient({ url: place.endpoints.mlflow!.url }));
  const production = await stages.findAlias(modelName, productionAlias);
  story.check('the alias production in MLflow names it', `${modelName}/${production}` === good.model);
  const after = await serving.sendHouseholds(100);
  story.tell(describePlans(after));
  story.check('everybody is served by the model', isServedBy(after, good.model));
  const unit = await place.pool.query<{ unit_id: string }>(
    'SELECT unit_id FROM exp.assignments WHERE experiment_id = $1 AND variant_id = $2 ORDER BY assigned_at LIMIT 1',
    [started.experiment_id, started.variants.candidate],
  );
  return `${experiment}#${started.iteration}/${unit.rows[0]!.unit_id}`;
}

/** Case 2. */
export async function refuse(place: Place, story: Story, shuffled: TrainedModel): Promise<void> {
  story.stage('The model that failed never reaches traffic', 'Starting its promotion is refused.');
  const refused = await place.runOps(start(shuffled, 'let us see'));
  story.tell(refused.stderr.trim());
  story.check('the promotion is refused', refused.exitCode !== 0);
  const [name, version] = shuffled.model.split('/');
  const { rows } = await place.pool.query<{ versions: bigint; assignments: bigint }>(
    `SELECT (SELECT count(*) FROM exp.policy_versions WHERE mlflow_model_name = $1 AND mlflow_model_version = $2) AS versions,
       (SELECT count(*) FROM exp.assignments a JOIN exp.v_lineage l USING (experiment_id, variant_id)
        WHERE l.mlflow_model_name = $1 AND l.mlflow_model_version = $2) AS assignments`,
    [name, version],
  );
  const { versions, assignments } = rows[0]!;
  story.check('no policy version and no assignment names it', versions === 0n && assignments === 0n);
}

/** Case 3. */
export async function rollBack(
  place: Place,
  story: Story,
  serving: Serving,
  models: { readonly slow: TrainedModel; readonly good: TrainedModel },
): Promise<void> {
  story.stage(
    'The model that passed offline is too slow online',
    'It is served in large batches, which wait 2.2 s to fill. The default guardrail slow_plans has to stop it: at most 5 of 100 households more than now may wait two seconds or longer.',
  );
  const started = await place.ops<Promotion>(
    ...start(models.slow, 'it passed, and large batches are cheap', {
      steps: '0.1,0.25,0.5',
      more: ['--param', 'batch_wait_ms=2200', '--param', 'deadline_ms=20000'],
    }),
  );
  const { experiment_key: experiment, experiment_id: id, variants } = started;
  story.tell(
    `${started.policy_version} is ${models.slow.model}; it gets ${percent(started.candidate_share)} of traffic`,
  );
  let decided: Look;
  do {
    const served = await serving.sendHouseholds(2 * householdsPerStep);
    story.tell(describePlans(served));
    decided = await lookUntilDecided(place, story, experiment);
    story.tell(`look: ${decided.decision}, ${decided.reasons.join('; ')}`);
  } while (decided.decision === 'step');
  const { rows } = await place.pool.query<{ metric_name: string; created_at: Date }>(
    'SELECT metric_name, created_at FROM exp.guardrail_actions WHERE experiment_id = $1 ORDER BY created_at LIMIT 1',
    [id],
  );
  const [action] = rows;
  story.check(
    `it is rolled back by ${slowPlans}`,
    decided.decision === 'rolled-back' && action?.metric_name === slowPlans,
  );
  const tipped = await findTippingTime(place.pool, {
    experimentId: id,
    ...variants,
    units: demonstration.guardrailUnits,
  });
  const seconds =
    action === undefined || tipped === null
      ? Number.POSITIVE_INFINITY
      : (action.created_at.getTime() - tipped.getTime()) / 1_000;
  story.tell(`the guardrail acted ${seconds.toFixed(1)} s after the event that tipped it was accepted`);
  story.check(
    `the rollback came within ${rollbackLimitSeconds} s`,
    seconds < rollbackLimitSeconds,
    `${seconds.toFixed(1)} s`,
  );
  const after = await serving.sendHouseholds(100);
  story.tell(describePlans(after));
  story.check('everybody is served by the production model again', isServedBy(after, models.good.model));
}
