// Registering a model version with its files in MLflow: a run that holds the files, and a version that points at them.
import { FatalError } from '#platform/errors.ts';
import { callMlflow, type Tags, toTagList } from './mlflow-call.ts';
import type { MlflowClient } from './mlflow-client.ts';
import { artifactPath, createTracking } from './tracking.ts';

export type ModelFiles = Readonly<Record<string, string | Buffer>>;

export type Registration = {
  readonly modelName: string;
  readonly description: string;
  /** MLflow's experiment that the run belongs to; created when absent. */
  readonly mlflowExperiment: string;
  readonly files: ModelFiles;
  readonly tags: Tags;
};

const artifactFolder = 'model';

/** Uploads the files and registers the next version of the model, which is created when absent. Returns the version's number. */
export async function registerModelVersion(client: MlflowClient, registration: Registration): Promise<number> {
  const { modelName, description, mlflowExperiment, files, tags } = registration;
  const tracking = createTracking(client);
  const experimentId = await tracking.ensureExperiment(mlflowExperiment);
  const run = await tracking.createRun({ experimentId, name: modelName, tags });
  // Before anything is uploaded: a server that keeps its files elsewhere is told at once.
  artifactPath(run.artifactUri);
  for (const [name, content] of Object.entries(files)) {
    await tracking.uploadFile(run, `${artifactFolder}/${name}`, content);
  }
  await tracking.endRun(run.runId, 'FINISHED');
  return createModelVersion(client, {
    modelName,
    description,
    source: `${run.artifactUri}/${artifactFolder}`,
    runId: run.runId,
    tags,
  });
}

/** Registers files that are already there, and gives the number of the new version. The model is created when absent. */
export async function createModelVersion(
  client: MlflowClient,
  version: { modelName: string; description?: string; source: string; runId?: string; tags: Tags },
): Promise<number> {
  const { modelName, description = '', source, runId, tags } = version;
  await ensureModel(client, modelName, description);
  const created = await callMlflow(client, `a version of ${modelName}`, {
    method: 'POST',
    path: 'model-versions/create',
    body: {
      name: modelName,
      source,
      description,
      tags: toTagList(tags),
      ...(runId === undefined ? {} : { run_id: runId }),
    },
  });
  return Number((created.model_version as { version: string }).version);
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
