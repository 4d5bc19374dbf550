// Registering a model version with its files in MLflow: a run that holds the files, and a version that points at them.
import { FatalError } from '#platform/errors.ts';
import type { MlflowClient } from './mlflow-client.ts';

export type ModelFiles = Readonly<Record<string, string | Buffer>>;

export type Registration = {
  readonly modelName: string;
  readonly description: string;
  /** MLflow's experiment that the run belongs to; created when absent. */
  readonly mlflowExperiment: string;
  readonly files: ModelFiles;
  readonly tags: Readonly<Record<string, string>>;
};

const artifactFolder = 'model';
const toTags = (tags: Readonly<Record<string, string>>) => Object.entries(tags).map(([key, value]) => ({ key, value }));

/** Uploads the files and registers the next version of the model, which is created when absent. Returns the version's number. */
export async function registerModelVersion(client: MlflowClient, registration: Registration): Promise<number> {
  const { modelName, description, mlflowExperiment, files, tags } = registration;
  const call = async (what: string, path: string, body: object): Promise<Record<string, unknown>> => {
    const answer = await client.request({ method: 'POST', path, body });
    if (answer.ok) return answer.value as Record<string, unknown>;
    throw new FatalError(`MLflow refused ${what} (${answer.refusal.errorCode}): ${answer.refusal.message}`, {
      code: 'unexpected',
    });
  };
  await ensureModel(client, modelName, description);
  const experimentId = await ensureExperiment(client, mlflowExperiment);
  const created = await call('a run', 'runs/create', {
    experiment_id: experimentId,
    run_name: modelName,
    start_time: Date.now(),
    tags: toTags(tags),
  });
  const { run_id: runId, artifact_uri: artifactUri } = (
    created.run as { info: { run_id: string; artifact_uri: string } }
  ).info;
  const root = artifactUri.replace(/^mlflow-artifacts:(\/\/[^/]*)?\/+/, '');
  if (root === artifactUri) {
    throw new FatalError(
      `MLflow keeps the files of ${mlflowExperiment} at ${artifactUri}, not behind the server: start it with --artifacts-destination`,
      { code: 'config-invalid' },
    );
  }
  for (const [name, content] of Object.entries(files)) {
    await client.uploadArtifact(`${root}/${artifactFolder}/${name}`, content);
  }
  await call('the end of a run', 'runs/update', { run_id: runId, status: 'FINISHED', end_time: Date.now() });
  const version = await call(`a version of ${modelName}`, 'model-versions/create', {
    name: modelName,
    source: `${artifactUri}/${artifactFolder}`,
    run_id: runId,
    description,
    tags: toTags(tags),
  });
  return Number((version.model_version as { version: string }).version);
}

async function ensureModel(client: MlflowClient, name: string, description: string): Promise<void> {
  const answer = await client.request({
    method: 'POST',
    path: 'registered-models/create',
    body: { name, description },
  });
  if (answer.ok || answer.refusal.errorCode === 'RESOURCE_ALREADY_EXISTS') return;
  throw new FatalError(`MLflow refused model ${name} (${answer.refusal.errorCode}): ${answer.refusal.message}`, {
    code: 'unexpected',
  });
}

async function ensureExperiment(client: MlflowClient, name: string): Promise<string> {
  const created = await client.request({ method: 'POST', path: 'experiments/create', body: { name } });
  if (created.ok) return (created.value as { experiment_id: string }).experiment_id;
  const found = await client.request({ path: 'experiments/get-by-name', query: { experiment_name: name } });
  if (!found.ok) {
    throw new FatalError(`MLflow refused experiment ${name}: ${created.refusal.message}`, { code: 'unexpected' });
  }
  return (found.value as { experiment: { experiment_id: string } }).experiment.experiment_id;
}
