// Models: trained by jobs on the dataset, and judged by the gate with the shipped tolerances on households that training never saw.
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import { runJob } from './data-stages.ts';
import type { Place } from './place.ts';
import type { Story } from './story.ts';

export const modelName = 'planner_model';

export type TrainedModel = { readonly model: string; readonly runId: string };
export type Verdict = {
  readonly id: string;
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly stage: string | null;
};

/** The key names the job and the model version: a job that is done twice registers one version. */
export async function trainModel(
  place: Place,
  story: Story,
  options: { readonly key: string; readonly dataset: string; readonly parameters?: Readonly<Record<string, string>> },
): Promise<TrainedModel> {
  const { key, dataset, parameters = {} } = options;
  await runJob(place, 'training', key, { dataset, model: 'tiny', 'model-name': modelName, ...parameters });
  const registry = createModelRegistry(createMlflowClient({ url: place.endpoints.mlflow!.url }));
  const versions = await registry.searchVersions(`name = '${modelName}' and tags.training_key = '${key}'`);
  const [found] = versions;
  story.check(`the training job ${key} has registered one model version`, versions.length === 1);
  if (found === undefined) throw new Error(`no version of ${modelName} has the key ${key}`);
  const trained = { model: `${found.name}/${found.version}`, runId: found.runId ?? '' };
  story.tell(`${trained.model}, trained by run ${trained.runId}`);
  story.tell(`look at it: ${place.endpoints.mlflow!.url}/#/models/${found.name}/versions/${found.version}`);
  return trained;
}

export async function judgeModel(
  place: Place,
  story: Story,
  options: { readonly key: string; readonly model: string; readonly dataset: string },
): Promise<Verdict> {
  const { key, model, dataset } = options;
  const verdict = await runJob<Verdict>(place, 'offline-replay', key, { model, dataset });
  story.tell(`verdict: ${verdict.verdict}`);
  for (const reason of verdict.reasons) story.tell(`  ${reason}`);
  return verdict;
}

export async function learn(place: Place, story: Story, dataset: string): Promise<TrainedModel> {
  story.stage(
    'Case 1: a model learns what households like',
    'A job fine-tunes a small language model with LoRA on the training split and registers it in MLflow.',
  );
  const good = await trainModel(place, story, { key: 'good', dataset, parameters: { epochs: '4' } });
  story.stage(
    'The gate judges it',
    'Model and rules plan the test split again. The gate compares them with the tolerances that this release ships.',
  );
  const { verdict, stage } = await judgeModel(place, story, { key: 'good', model: good.model, dataset });
  story.check('the model passes the gate and is a candidate', verdict === 'pass' && stage === 'candidate');
  return good;
}

export async function learnNothing(place: Place, story: Story, dataset: string): Promise<TrainedModel> {
  story.stage(
    'Case 2: a model learns nothing',
    'The same training on shuffled answers: a control that the gate has to stop.',
  );
  const parameters = { 'shuffle-targets': 'yes', epochs: '4' };
  const shuffled = await trainModel(place, story, { key: 'shuffled', dataset, parameters });
  const { verdict, stage } = await judgeModel(place, story, { key: 'shuffled', model: shuffled.model, dataset });
  story.check('the model of shuffled answers fails the gate', verdict === 'fail' && stage === 'trained');
  return shuffled;
}

export async function learnToo(place: Place, story: Story, dataset: string): Promise<TrainedModel> {
  story.stage('Case 3: another model learns', 'Another seed; offline it is as good as the first one.');
  const parameters = { epochs: '4', seed: '2' };
  const slow = await trainModel(place, story, { key: 'slow', dataset, parameters });
  const { verdict } = await judgeModel(place, story, { key: 'slow', model: slow.model, dataset });
  story.check('the model passes the gate', verdict === 'pass');
  return slow;
}
