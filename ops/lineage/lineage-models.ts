// What MLflow knows of the chain: model versions, their files and their runs; what it lacks is said in words.
import { describeError, FatalError } from '#platform/errors.ts';
import type { MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry, type ModelVersion } from '#platform/mlflow/model-registry.ts';
import { artifactPath, createTracking, type MlflowRun } from '#platform/mlflow/tracking.ts';
import { remember } from './dataset-contents.ts';

/** Null where it is not there; `problem` says why, or what else is wrong. */
export type Found<T> = { readonly value: T | null; readonly problem: string | null };

export type LineageModels = {
  findModel(model: string): Promise<Found<ModelVersion>>;
  findRun(runId: string): Promise<Found<MlflowRun>>;
  listModelsOfDataset(datasetVersion: string): Promise<Found<readonly ModelVersion[]>>;
  listModelsOfRun(runId: string): Promise<Found<readonly ModelVersion[]>>;
};

/** `planner_model/3` gives its parts; a name may have slashes. */
export function splitModel(model: string): { readonly name: string; readonly version: string } {
  const at = model.lastIndexOf('/');
  return { name: model.slice(0, at), version: model.slice(at + 1) };
}

const notAsked = { value: null, problem: 'not looked up: MLFLOW_URL is not set' } as const;

/** Each thing is asked for once. An MLflow that is away is a problem in the tree, not the end of it. */
export function createLineageModels(client: MlflowClient | null): LineageModels {
  if (client === null) {
    const answer = async (): Promise<typeof notAsked> => notAsked;
    return { findModel: answer, findRun: answer, listModelsOfDataset: answer, listModelsOfRun: answer };
  }
  const registry = createModelRegistry(client);
  const tracking = createTracking(client);
  const known = new Map<string, Promise<Found<unknown>>>();
  const once = <T>(key: string, look: () => Promise<Found<T>>): Promise<Found<T>> =>
    remember(known, key, () =>
      look().catch(
        (error: unknown): Found<T> => ({ value: null, problem: `could not be looked up: ${describeError(error)}` }),
      ),
    ) as Promise<Found<T>>;
  const search = async (filter: string): Promise<Found<readonly ModelVersion[]>> => ({
    value: await registry.searchVersions(filter),
    problem: null,
  });

  return {
    findModel: (model) =>
      once(`model ${model}`, async () => {
        const { name, version } = splitModel(model);
        const found = await registry.lookUp(name, version);
        if (found.state !== 'ready') return { value: null, problem: `MLflow cannot give it: ${found.explanation}` };
        const { source } = found.modelVersion;
        const hasFiles = (await client.listArtifacts(artifactPath(source))).length > 0;
        return { value: found.modelVersion, problem: hasFiles ? null : `its files are gone from ${source}` };
      }),
    findRun: (runId) =>
      once(`run ${runId}`, async () => {
        const run = await tracking.findRun(runId);
        if (run === null) return { value: null, problem: 'MLflow has no such run: it was purged' };
        return {
          value: run,
          problem: run.isDeleted ? 'it was deleted in MLflow, where it can still be restored' : null,
        };
      }),
    listModelsOfDataset: (version) => once(`models of ${version}`, () => search(`tags.dataset_version = '${version}'`)),
    listModelsOfRun: (runId) => once(`models of run ${runId}`, () => search(`run_id = '${runId}'`)),
  };
}

/** @throws FatalError when the text is not name/version. */
export function requireModel(text: string): string {
  if (/^.+\/[1-9]\d{0,8}$/.test(text)) return text;
  throw new FatalError(`${JSON.stringify(text)} is no model version: expected name/version, such as planner_model/3`, {
    code: 'config-invalid',
  });
}
