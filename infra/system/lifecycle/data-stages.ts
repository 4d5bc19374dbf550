// The first stages: the planner of rules goes into production, households use it, and what they did becomes a dataset.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createCatalogueFromSource } from '#domain/planning/catalogue.ts';
import type { JobView } from '#platform/jobs/job-view.ts';
import { plannerExperiment } from '#producers/planner-traffic/planner-experiment.ts';
import { runPlannerTraffic } from '#producers/planner-traffic/run-planner-traffic.ts';
import { simulateWorld, type World } from '#producers/planner-traffic/world.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { createHttpWorkloadPort } from '#producers/workload-client/http-workload-port.ts';
import type { WorkloadPort } from '#producers/workload-client/workload-port.ts';
import { repositoryRoot } from '../../local/local-dir.ts';
import { StackError } from '../../local/stack-error.ts';
import { waitUntilCaughtUp } from '../caught-up.ts';
import type { Place } from './place.ts';
import type { Story } from './story.ts';

export const policyName = 'planner';
/** Plans of the simulated past: the first day of a month of requests. */
const pastStart = '2026-09-01';
const pastDays = 28;

export const count = (value: number | bigint): string => value.toLocaleString('en-US');

export function readCatalogue() {
  return createCatalogueFromSource(JSON.parse(readFileSync(join(repositoryRoot, 'data', 'recipes.json'), 'utf8')));
}

export function workloadPort({ system, access }: Place): WorkloadPort {
  return createHttpWorkloadPort({
    assignmentUrl: system.process('assignment-service').url,
    ingestionUrl: system.process('ingestion-service').url,
    apiKey: access.ingestKey,
    adminKey: access.adminKey,
  });
}

/** Submits a job, waits for its end, and gives its result. @throws StackError when it is dead. */
export async function runJob<T>(
  place: Place,
  kind: string,
  key: string,
  parameters: Readonly<Record<string, string>>,
): Promise<T> {
  const given = Object.entries(parameters).flatMap(([name, value]) => ['--param', `${name}=${value}`]);
  const { stdout, stderr } = await place.runOps(['jobs', 'submit', kind, '--key', key, ...given, '--wait', '--json']);
  if (stdout.trim() === '') throw new StackError(`The job ${kind}/${key} could not be submitted.\n${stderr}`);
  const job = JSON.parse(stdout) as JobView;
  if (job.state !== 'completed') throw new StackError(`The job ${kind}/${key} is ${job.state}: ${job.error}`);
  return job.result as T;
}

async function applyFile(place: Place, name: string, content: object): Promise<void> {
  // Commands run in the repository.
  const path = relative(repositoryRoot, join(place.localDir, name));
  await writeFile(join(repositoryRoot, path), `${JSON.stringify(content, null, 2)}\n`);
  const { exitCode, stdout, stderr } = await place.runOps(['apply', path, '--reason', 'lifecycle']);
  if (exitCode !== 0) throw new StackError(`${path} was not applied.\n${stdout}${stderr}`);
}

/** The first version of the policy is the planner of rules, and a running experiment delivers it to everybody. */
export async function putRulesIntoProduction(place: Place, story: Story): Promise<void> {
  story.stage(
    'The planner of rules goes into production',
    'Every policy version names a registered model version, the rules too; only the first version of a policy enters without a ramp.',
  );
  const { stdout: said } = await place.runOps(['policies', 'register-baseline']);
  const registered = Number(/^planner-rule-based version (\d+) /m.exec(said)?.[1]);
  const version = { version: 1, mlflow_model_name: 'planner-rule-based', mlflow_model_version: registered };
  await applyFile(place, 'policy.json', { policies: [{ name: policyName, versions: [version] }] });
  await place.runOps(['policies', 'bootstrap', `${policyName}@1`, '--reason', 'the first planner']);
  const variants = plannerExperiment.variants.map((variant) => ({
    ...variant,
    config: { policy_version_id: `${policyName}@1` },
  }));
  await applyFile(place, 'experiment.json', { experiments: [{ ...plannerExperiment, status: 'running', variants }] });
  const { rows } = await place.pool.query<{ status: string }>(
    `SELECT v.status FROM exp.policy_versions v JOIN exp.policies p ON p.id = v.policy_id WHERE p.name = $1`,
    [policyName],
  );
  story.check(`${policyName}@1 is in production`, rows.length === 1 && rows[0]!.status === 'production');
}

/** Whether an earlier run got as far as the dataset. */
export async function hasPast({ pool }: Place): Promise<boolean> {
  const { rows } = await pool.query<{ built: boolean }>('SELECT EXISTS (SELECT FROM exp.dataset_versions) AS built');
  return rows[0]!.built;
}

/** A month of simulated households whose hidden tastes the rules cannot see. */
export async function logThePast(place: Place, story: Story, households: number): Promise<World> {
  story.stage(
    'Households plan their meals with the rules',
    `${households} simulated households ask for plans over ${pastDays} days, and accept or edit them by tastes that nobody wrote down for the planner.`,
  );
  const world = simulateWorld({ seed: 1, households, days: pastDays, start: pastStart, catalogue: readCatalogue() });
  await writeDomainRows(place.pool, world.rows);
  const { events } = await runPlannerTraffic(
    {
      world,
      effects: {},
      experiments: [plannerExperiment.key],
      onProgress: ({ step, done }) => {
        if (done % 1_000 === 0) story.progress(`${done} ${step}`);
      },
    },
    workloadPort(place),
  );
  await waitUntilCaughtUp({ kafka: place.kafka, pool: place.pool, onProgress: story.progress });
  const { rows } = await place.pool.query<{ plans: bigint; answered: bigint; edited: bigint }>(
    `SELECT count(*) FILTER (WHERE request IS NOT NULL) AS plans, count(reaction) AS answered,
       count(*) FILTER (WHERE reaction = 'edited') AS edited FROM exp.training_rows`,
  );
  const { plans, answered, edited } = rows[0]!;
  story.tell(`${count(events.accepted)} events through HTTP and Kafka, every consumer group at the end of its topic`);
  story.tell(`${count(plans)} plans, ${count(answered)} answered, ${count(edited)} of them edited by the household`);
  // It would deliver the rules beside every ramp.
  await place.runOps(['experiments', 'complete', plannerExperiment.key, '--reason', 'enough was logged']);
  story.check('every event was accepted', events.rejected === 0 && events.sent === events.accepted);
  return world;
}

export type BuiltDataset = { readonly datasetVersion: string; readonly objectKey: string; readonly rowCount: number };

export async function buildDataset(place: Place, story: Story): Promise<BuiltDataset> {
  story.stage(
    'The log becomes a dataset',
    'A job on the queue freezes the plans and the reactions, split by household and by time: nobody in the test split was ever trained on.',
  );
  const cutoff = '2026-10-01T00:00:00Z';
  const built = await runJob<BuiltDataset>(place, 'dataset-build', 'lifecycle', { 'label-cutoff': cutoff });
  const { rows } = await place.pool.query<{
    manifest: { splits: Record<string, { quality: { row_count: number; household_count: number } }> };
  }>('SELECT manifest FROM exp.dataset_versions WHERE dataset_version = $1', [built.datasetVersion]);
  const { splits } = rows[0]!.manifest;
  story.tell(`dataset ${built.datasetVersion}`);
  story.tell(`at s3://${place.endpoints.objectStore.objectStoreBucket}/${built.objectKey}`);
  for (const [name, { quality }] of Object.entries(splits))
    story.tell(`${name}: ${count(quality.row_count)} plans of ${count(quality.household_count)} households`);
  story.check(
    'all three splits have rows',
    Object.values(splits).every(({ quality }) => quality.row_count > 0),
  );
  return built;
}
