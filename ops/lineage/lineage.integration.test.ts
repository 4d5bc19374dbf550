// Lineage on real services, Kafka, Postgres, S3 and MLflow: every arrow is followed by id, both ways; then one artefact of each kind is deleted.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { ensurePythonEnvironment } from '#infra/local/python-environment.ts';
import { trainingPackages } from '#infra/local/python-packages.ts';
import { objectStoreEnvironment } from '#infra/system/environment.ts';
import { createMlflowClient, type MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { registerBaseline } from '#producers/definition-store/register-baseline.ts';
import { plannerExperiment } from '#producers/planner-traffic/planner-experiment.ts';
import { runPlannerTraffic } from '#producers/planner-traffic/run-planner-traffic.ts';
import { sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { createHttpWorkloadPort } from '#producers/workload-client/http-workload-port.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { type OpsPlace, runOps, runOpsJson } from '#tests/support/ops-command.ts';
import { createOwnBucket, type OwnBucket } from '#tests/support/own-bucket.ts';
import { until } from '#tests/support/poll.ts';
import { post } from '#tests/support/service-client.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';
import type { Finding } from '../cluster/doctor.ts';
import type { Lineage, LineageArrow, LineageKind, LineageNode } from './lineage-tree.ts';

const modelName = `lineage-test-${randomBytes(4).toString('hex')}`;
const world = sampleWorld({ households: 60, days: 14 });
const timeoutMs = 300_000;

let [mlflow, bucket, system, folder]: [TestMlflow, OwnBucket, TestSystem, string] = [null!, null!, null!, ''];
let client: MlflowClient;
let place: OpsPlace;
let dataset: string;
let replay: { id: string; objectKey: string; mlflowRunId: string };
/** Of the ramp: a household that has the new model. */
let unit: string;

type Printed = Lineage & { readonly problems: number };

const ops = <T>(...args: string[]): Promise<T> => runOpsJson<T>(place, args);
const lineage = (...args: string[]): Promise<Printed> => ops<Printed>('lineage', ...args);

/** The node at the end of arrows to things of these kinds, each the first of its kind. */
function follow(arrows: readonly LineageArrow[], ...kinds: LineageKind[]): LineageNode {
  let [at, found]: [readonly LineageArrow[], LineageNode | undefined] = [arrows, undefined];
  for (const kind of kinds) {
    found = at.find(({ to }) => to.kind === kind)?.to;
    if (found === undefined) throw new Error(`no arrow to a ${kind} in ${JSON.stringify(arrows, null, 2)}`);
    at = found.arrows;
  }
  return found!;
}

const problemsIn = ({ problems, arrows }: LineageNode): string[] => [
  ...problems,
  ...arrows.flatMap(({ to }) => problemsIn(to)),
];

async function train(): Promise<void> {
  const python = join(await ensurePythonEnvironment(trainingPackages), 'bin', 'python');
  const args = ['--dataset', dataset, '--model', 'tiny', '--epochs', '1', '--model-name', modelName];
  const child = spawn(python, [join(repositoryRoot, 'training', 'train_planner.py'), ...args, '--output', folder], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '/',
      OMP_NUM_THREADS: '1',
      MLFLOW_URL: mlflow.url,
      ...objectStoreEnvironment({ objectStore: bucket.endpoints }),
    },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  expect(await new Promise((resolve) => child.on('close', resolve)), said).toBe(0);
  place = { ...place, settings: { ...place.settings, TRAINING_PYTHON: python } };
}

async function apply(name: string, text: string): Promise<void> {
  const path = join(folder, name);
  await writeFile(path, text);
  const { exitCode, stdout, stderr } = await runOps(place, ['apply', path, '--reason', 'a test']);
  expect(exitCode, `${stdout}${stderr}`).toBe(0);
}

const policies = (versions: readonly [string, number][]): string =>
  JSON.stringify({
    policies: [
      {
        name: 'lineage',
        versions: versions.map(([mlflow_model_name, mlflow_model_version], index) => ({
          version: index + 1,
          mlflow_model_name,
          mlflow_model_version,
        })),
      },
    ],
  });

/** An experiment whose variants deliver these versions of the policy, at a coverage that a new version may have. */
const experiment = (key: string, versions: readonly [number, number], coverage: number) => ({
  ...plannerExperiment,
  key,
  status: 'running',
  coverage,
  variants: plannerExperiment.variants.map((variant, index) => ({
    ...variant,
    config: { policy_version_id: `lineage@${versions[index]}` },
  })),
});

beforeAll(async () => {
  [mlflow, bucket, folder] = await Promise.all([
    startTestMlflow(),
    createOwnBucket(),
    mkdtemp(join(tmpdir(), 'lineage-test-')),
  ]);
  client = createMlflowClient({ url: mlflow.url });
  const groups = { 'postgres-sink': 1, 'parquet-archiver': 1, 'dataset-builder': 1 };
  system = await startTestSystem(
    { 'assignment-service': 1, 'ingestion-service': 1, ...groups },
    {
      endpoints: { ...stackEndpoints(), objectStore: bucket.endpoints },
      overrides: ({ name }) => (name === 'assignment-service' ? { MLFLOW_URL: mlflow.url } : {}),
    },
  );
  const { database, access, topics } = system;
  place = {
    postgresUrl: database.urlAs('operator'),
    namespace: topics.namespace,
    erasureKey: access.erasureKey,
    settings: { ...objectStoreEnvironment({ objectStore: bucket.endpoints }), MLFLOW_URL: mlflow.url },
  };

  // Plans of the baseline, through the services.
  const { version } = await registerBaseline(client);
  await apply('first.yml', policies([['planner-rule-based', version]]));
  await runOps(place, ['policies', 'bootstrap', 'lineage@1', '--reason', 'the first one']);
  const [assignmentUrl, ingestionUrl] = (['assignment-service', 'ingestion-service'] as const).map(
    (name) => system.system.process(name).url,
  ) as [string, string];
  await post(`${assignmentUrl}/v1/experiments`, access.adminKey, experiment('first', [1, 1], 1), [200, 201]);
  await writeDomainRows(database.pool, world.rows);
  const port = createHttpWorkloadPort({
    assignmentUrl,
    ingestionUrl,
    apiKey: access.ingestKey,
    adminKey: access.adminKey,
  });
  const { events } = await runPlannerTraffic({ world, effects: {}, experiments: ['first'] }, port);
  await until(
    'every event is in Postgres, in the archive and paired',
    async () => {
      const { rows } = await database.pool.query<{ stored: bigint; archived: bigint; paired: boolean }>(
        `SELECT (SELECT count(*) FROM exp.events) AS stored, (SELECT sum(row_count) FROM exp.archive_manifest WHERE status = 'committed') AS archived,
           (SELECT sum(next_offset) FROM exp.consumer_offsets WHERE consumer_group LIKE '%dataset-builder') = (SELECT count(*) FROM exp.events) AS paired`,
      );
      const { stored, archived, paired } = rows[0]!;
      return Number(stored) === events.accepted && Number(archived) === events.accepted && paired;
    },
    { deadlineMs: 120_000 },
  );

  // Dataset, model, verdict, and a ramp in which some households get the model.
  const cutoff = ['--label-cutoff', '2026-03-01'];
  dataset = (await ops<{ datasetVersion: string }>('dataset', 'build', 'planner', ...cutoff)).datasetVersion;
  await train();
  replay = await ops('offline-replay', 'run', '--model', `${modelName}/1`, '--dataset', dataset);
  // So few plans decide nothing, and what the gate decides is the matter of other tests.
  await database.pool.query("UPDATE exp.offline_replay_results SET verdict = 'pass'");
  const versions: [string, number][] = [
    ['planner-rule-based', version],
    [modelName, 1],
  ];
  await apply('second.yml', policies(versions));
  await post(`${assignmentUrl}/v1/experiments`, access.adminKey, experiment('ramp', [1, 2], 0.2), [200, 201]);
  for (let index = 0; unit === undefined && index < 500; index++) {
    const asked = { unit_type: 'household', unit_id: `household-${index}`, requested_experiments: ['ramp'] };
    const answer = await post<{ assignments: { variant_name: string; stored: boolean }[] }>(
      `${assignmentUrl}/v1/assignments`,
      access.ingestKey,
      asked,
      [200],
    );
    if (answer.assignments.some(({ variant_name, stored }) => stored && variant_name === 'candidate'))
      unit = asked.unit_id;
  }
}, 1_200_000);

afterAll(async () => {
  await system?.stop();
  await bucket?.remove();
  await mlflow?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('an assignment leads to the events that its model learned from, and such an event leads back to it', {
  timeout: timeoutMs,
}, async () => {
  const ofAssignment = await lineage('assignment', `ramp/${unit}`);
  expect(ofAssignment.problems).toBe(0);
  const chain = ['variant', 'policy-version', 'model', 'run', 'dataset', 'offsets', 'event', 'archive'] as const;
  const nodes = chain.map((_, index) => follow(ofAssignment.comesFrom, ...chain.slice(0, index + 1)));
  const [variant, policyVersion, model, run, found, , event, archived] = nodes;
  expect([policyVersion!.id, model!.id, found!.id]).toEqual(['lineage@2', `${modelName}/1`, dataset]);
  expect(archived!.id).toMatch(new RegExp(`^s3://${bucket.endpoints.objectStoreBucket}/events/dt=`));
  expect(model!.arrows.some(({ to }) => to.kind === 'replay' && to.id === replay.id)).toBe(true);
  // The dataset holds plans of the baseline, whose own chain begins here.
  expect(follow(found!.arrows, 'policy-version', 'model').id).toMatch(/^planner-rule-based\//);

  const ofEvent = await lineage('event', event!.id);
  const back = ['dataset', 'model', 'policy-version', 'variant', 'assignments'] as const;
  const ids = back.map((_, index) => follow(ofEvent.becameOf, ...back.slice(0, index + 1)).id);
  expect(ids.slice(0, 4)).toEqual([dataset, `${modelName}/1`, 'lineage@2', variant!.id]);
  expect(follow(ofEvent.becameOf, ...back).text).toContain(unit);

  const plan = follow(ofEvent.becameOf, 'plan').id;
  expect(follow((await lineage('plan', plan)).becameOf, 'dataset', 'model').id).toBe(`${modelName}/1`);
  expect(follow((await lineage('run', run!.id)).becameOf, 'model', 'policy-version', 'variant').id).toBe(variant!.id);
  expect(follow((await lineage('policy-version', 'lineage@2')).comesFrom, 'model', 'run', 'dataset').id).toBe(dataset);
  const text = (await runOps(place, ['lineage', 'model', `${modelName}/1`])).stdout;
  expect(text).toMatch(
    /^Where it comes from\n├─ was judged by replay .*pass[\s\S]*└─ was trained by run [0-9a-f]{32}: /m,
  );
  expect(text).toMatch(/^What came of it\n[\s\S]*became policy version lineage@2/m);
});

test('analysts follow the same chain in SQL', async () => {
  const { rows } = await system.database.poolAs('analyst').query(
    `SELECT l.policy_version_name, l.mlflow_model_name, l.dataset_version, count(DISTINCT p.generated_event_id) AS events
     FROM exp.assignments a
     JOIN exp.v_lineage l USING (experiment_id, variant_id)
     JOIN exp.v_plan_lineage p USING (dataset_version)
     WHERE a.unit_id = $1 AND l.experiment_key = 'ramp' GROUP BY 1, 2, 3`,
    [unit],
  );
  expect(rows).toEqual([
    {
      policy_version_name: 'lineage@2',
      mlflow_model_name: modelName,
      dataset_version: dataset,
      events: expect.any(BigInt),
    },
  ]);
});

test('what is deleted is reported in its place by lineage, and with what to do by doctor', {
  timeout: timeoutMs,
}, async () => {
  const before = await lineage('assignment', `ramp/${unit}`);
  const run = follow(before.comesFrom, 'variant', 'policy-version', 'model', 'run').id;
  const event = follow(before.comesFrom, 'variant', 'policy-version', 'model', 'run', 'dataset', 'offsets', 'event');
  const archived = follow(event.arrows, 'archive').id;
  const { rows } = await system.database.pool.query<{ object_key: string; mlflow_run_id: string }>(
    'SELECT object_key, mlflow_run_id FROM exp.dataset_versions',
  );
  const [built] = rows;
  const testFile = built!.object_key.replace('training', 'test');
  for (const key of [testFile, replay.objectKey, archived.replace(/^s3:\/\/[^/]+\//, '')])
    await bucket.objectStore.delete(key);
  for (const run_id of [run, built!.mlflow_run_id, replay.mlflowRunId])
    await client.request({ method: 'POST', path: 'runs/delete', body: { run_id } });
  const deleted = { name: modelName, version: '1' };
  await client.request({ method: 'DELETE', path: 'model-versions/delete', body: deleted });

  const told = await runOps(place, ['lineage', 'assignment', `ramp/${unit}`, '--json']);
  expect(told.exitCode).toBe(1);
  const { comesFrom } = JSON.parse(told.stdout) as Printed;
  const model = follow(comesFrom, 'variant', 'policy-version', 'model');
  // The chain goes on where MLflow has lost it: the replay has recorded run and dataset.
  const found = follow(model.arrows, 'run', 'dataset');
  expect(found.id).toBe(dataset);
  const allProblems = problemsIn(model);
  for (const problem of [
    /^MLflow cannot give it: /,
    /^its rows are gone from the object store/,
    /^MLflow run [0-9a-f]{32}: it was deleted in MLflow/,
    /^it was deleted in MLflow/,
    /^test\.parquet is gone from the object store/,
    /^MLflow run [0-9a-f]{32} of its build: it was deleted/,
    /^it is gone from the object store/,
  ])
    expect(
      allProblems.filter((text) => problem.test(text)),
      String(problem),
    ).not.toEqual([]);

  const doctor = await runOps(place, ['doctor', '--json']);
  const findings = (JSON.parse(doctor.stdout) as Finding[]).filter(
    ({ check }) => check === 'lineage' || check === 'models',
  );
  for (const detail of [
    /test\.parquet is gone/,
    /offline-replays\/.*is gone/,
    /training finds datasets by it/,
    /its MLflow run [0-9a-f]{32} was deleted/,
    /which was judged: MLflow cannot give it/,
    /which trained model .* it was deleted in MLflow/,
    /^lineage@2 names model .* which MLflow cannot give/,
  ]) {
    const finding = findings.find((candidate) => detail.test(candidate.detail));
    expect(finding?.advice, `${detail} in ${doctor.stdout}`).toMatch(/\w/);
  }

  // As doctor advises.
  expect(await ops('dataset', 'build', 'planner', '--label-cutoff', '2026-03-01')).toMatchObject({
    alreadyExisted: true,
  });
  const again = await runOps(place, ['lineage', 'dataset', dataset, '--json']);
  expect((JSON.parse(again.stdout) as Printed).of.problems).toEqual([]);
});

test('datasets and models that have seen a unit that was erased since are listed', { timeout: timeoutMs }, async () => {
  const { rows } = await system.database.pool.query<{ household_id: string }>(
    'SELECT household_id FROM exp.training_rows ORDER BY generated_at',
  );
  const { url } = system.system.process('assignment-service');
  const households = [...new Set(rows.map(({ household_id }) => household_id))].slice(0, 8);
  for (const unit_id of households)
    await post(`${url}/v1/units/erase`, system.access.adminKey, { unit_type: 'household', unit_id }, [200]);
  const told = await runOps(place, ['lineage', 'erased', '--json']);
  const { becameOf } = JSON.parse(told.stdout) as Printed;
  const held = follow(becameOf, 'dataset');
  expect(held.id).toBe(dataset);
  expect(held.notes.join('\n')).toMatch(/holds \d+ plans? of \d+ units? erased since \(erased-/);
  expect(follow(held.arrows, 'model').id).toBe(`${modelName}/1`);
});

test('a wrong name is refused with what was expected', async () => {
  const refused = async (...args: string[]): Promise<string> => {
    const { exitCode, stderr } = await runOps(place, ['lineage', ...args]);
    expect(exitCode).toBe(1);
    return stderr;
  };
  expect(await refused('assignment', 'ramp')).toContain('expected EXPERIMENT/UNIT');
  expect(await refused('assignment', 'ramp/nobody')).toContain('no assignment of nobody to ramp');
  expect(await refused('model', 'planner')).toContain('expected name/version');
  expect(await refused('policy-version', 'lineage@9')).toContain('there is no policy version lineage@9');
});
