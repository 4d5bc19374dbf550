// MLflow's experiments and runs: what was done with which parameters, its curves, its datasets and its files.
import { FatalError } from '#platform/errors.ts';
import { callMlflow, collectPages, findInMlflow, fromTagList, type Tags, toTagList } from './mlflow-call.ts';
import type { ArtifactEntry, MlflowClient } from './mlflow-client.ts';

export type RunStatus = 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED';

export type MlflowRun = {
  readonly runId: string;
  readonly experimentId: string;
  readonly name: string;
  readonly status: string;
  /** MLflow keeps a deleted run, so that it can be restored, until it is purged. */
  readonly isDeleted: boolean;
  /** As MLflow names it, such as `mlflow-artifacts:/1/…/artifacts`. */
  readonly artifactUri: string;
  readonly params: Tags;
  /** The last value of each metric. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly tags: Tags;
  readonly datasets: readonly LoggedDataset[];
};

export type LoggedDataset = { readonly name: string; readonly digest: string; readonly source: string };

export type MetricPoint = { readonly key: string; readonly value: number; readonly step?: number };

export type RunBatch = {
  readonly metrics?: readonly MetricPoint[];
  readonly params?: Tags;
  readonly tags?: Tags;
};

export type Tracking = {
  /** The id of the experiment, or null when there is none. */
  findExperiment(name: string): Promise<string | null>;
  /** The id of the experiment, made when absent. */
  ensureExperiment(name: string): Promise<string>;
  createRun(options: { experimentId: string; name: string; tags?: Tags }): Promise<MlflowRun>;
  findRun(runId: string): Promise<MlflowRun | null>;
  /** Runs of the experiments that match MLflow's filter, the newest first, from all pages. */
  searchRuns(options: { experimentIds: readonly string[]; filter?: string; pageSize?: number }): Promise<MlflowRun[]>;
  /** Logs any number of values, in as many requests as MLflow's limits need. */
  logBatch(runId: string, batch: RunBatch): Promise<void>;
  /** The values of one metric in order of step. */
  listMetric(runId: string, key: string): Promise<MetricPoint[]>;
  logDataset(runId: string, dataset: LoggedDataset & { readonly context: string }): Promise<void>;
  endRun(runId: string, status: Exclude<RunStatus, 'RUNNING'>): Promise<void>;
  uploadFile(run: MlflowRun, path: string, content: string | Buffer): Promise<void>;
  /** Null when the run has no such file. */
  downloadFile(run: MlflowRun, path: string): Promise<Buffer | null>;
  listFiles(run: MlflowRun, folder: string): Promise<readonly ArtifactEntry[]>;
};

/** Limits of MLflow on one log-batch request. */
const limits = { metrics: 1_000, params: 100, tags: 100 } as const;
/** MLflow keeps 36 characters of a dataset's digest. */
const digestLength = 36;

type RunBody = {
  info: {
    run_id: string;
    experiment_id: string;
    run_name?: string;
    status: string;
    lifecycle_stage?: string;
    artifact_uri: string;
  };
  data?: {
    params?: { key: string; value: string }[];
    metrics?: { key: string; value: number }[];
    tags?: { key: string; value: string }[];
  };
  inputs?: { dataset_inputs?: { dataset: LoggedDataset }[] };
};

function fromRunBody({ info, data, inputs }: RunBody): MlflowRun {
  return {
    runId: info.run_id,
    experimentId: info.experiment_id,
    name: info.run_name ?? '',
    status: info.status,
    isDeleted: info.lifecycle_stage === 'deleted',
    artifactUri: info.artifact_uri,
    params: fromTagList(data?.params),
    metrics: Object.fromEntries((data?.metrics ?? []).map(({ key, value }) => [key, value])),
    tags: fromTagList(data?.tags),
    datasets: (inputs?.dataset_inputs ?? []).map(({ dataset: { name, digest, source } }) => ({ name, digest, source })),
  };
}

/** The path below the server's artifact root. @throws FatalError when the server does not keep the files itself. */
export function artifactPath(artifactUri: string, path = ''): string {
  const root = artifactUri.replace(/^mlflow-artifacts:(\/\/[^/]*)?\/+/, '');
  if (root === artifactUri) {
    throw new FatalError(
      `MLflow keeps files at ${artifactUri}, not behind the server: start it with --artifacts-destination`,
      { code: 'config-invalid' },
    );
  }
  return path === '' ? root : `${root}/${path}`;
}

function* slices<T>(values: readonly T[], size: number): Generator<T[]> {
  for (let from = 0; from < values.length; from += size) yield values.slice(from, from + size);
}

export function createTracking(client: MlflowClient): Tracking {
  const post = (what: string, path: string, body: object, isRepeatable: boolean) =>
    callMlflow(client, what, { method: 'POST', path, body, isRepeatable });

  const findExperiment: Tracking['findExperiment'] = async (name) => {
    const request = { path: 'experiments/get-by-name', query: { experiment_name: name } };
    const found = await findInMlflow(client, `experiment ${name}`, request);
    return found === null ? null : (found.experiment as { experiment_id: string }).experiment_id;
  };

  return {
    findExperiment,
    ensureExperiment: async (name) => {
      const known = await findExperiment(name);
      if (known !== null) return known;
      // Somebody else may make it at the same moment: whoever did, it is there afterwards.
      await client.request({ method: 'POST', path: 'experiments/create', body: { name } });
      const made = await findExperiment(name);
      if (made === null) throw new FatalError(`MLflow does not make experiment ${name}`, { code: 'unexpected' });
      return made;
    },
    createRun: async ({ experimentId, name, tags = {} }) => {
      const body = { experiment_id: experimentId, run_name: name, start_time: Date.now(), tags: toTagList(tags) };
      return fromRunBody((await post('a run', 'runs/create', body, false)).run as RunBody);
    },
    findRun: async (runId) => {
      const found = await findInMlflow(client, `run ${runId}`, { path: 'runs/get', query: { run_id: runId } });
      return found === null ? null : fromRunBody(found.run as RunBody);
    },
    searchRuns: async ({ experimentIds, filter = '', pageSize = 200 }) => {
      const found = await collectPages<RunBody>(client, 'a search for runs', {
        field: 'runs',
        request: (page) => ({
          method: 'POST',
          path: 'runs/search',
          body: { experiment_ids: experimentIds, filter, max_results: pageSize, ...page },
          isRepeatable: true,
        }),
      });
      return found.map(fromRunBody);
    },
    logBatch: async (runId, { metrics = [], params = {}, tags = {} }) => {
      const timestamp = Date.now();
      const points = metrics.map(({ key, value, step = 0 }) => ({ key, value, step, timestamp }));
      const log = (part: object) => post(`values of run ${runId}`, 'runs/log-batch', { run_id: runId, ...part }, true);
      for (const part of slices(toTagList(params), limits.params)) await log({ params: part });
      for (const part of slices(toTagList(tags), limits.tags)) await log({ tags: part });
      for (const part of slices(points, limits.metrics)) await log({ metrics: part });
    },
    listMetric: async (runId, key) => {
      const found = await collectPages<{ key: string; value: number; step?: number }>(client, `metric ${key}`, {
        field: 'metrics',
        request: (page) => ({ path: 'metrics/get-history', query: { run_id: runId, metric_key: key, ...page } }),
      });
      return found.map(({ value, step }) => ({ key, value, step: Number(step ?? 0) })).sort((a, b) => a.step - b.step);
    },
    logDataset: async (runId, { name, digest, source, context }) => {
      const dataset = { name, digest: digest.slice(0, digestLength), source_type: 's3', source };
      const body = { run_id: runId, datasets: [{ dataset, tags: [{ key: 'mlflow.data.context', value: context }] }] };
      await post(`a dataset of run ${runId}`, 'runs/log-inputs', body, true);
    },
    endRun: async (runId, status) => {
      await post(`the end of run ${runId}`, 'runs/update', { run_id: runId, status, end_time: Date.now() }, true);
    },
    uploadFile: (run, path, content) => client.uploadArtifact(artifactPath(run.artifactUri, path), content),
    downloadFile: (run, path) => client.downloadArtifact(artifactPath(run.artifactUri, path)),
    listFiles: (run, folder) => client.listArtifacts(artifactPath(run.artifactUri, folder)),
  };
}
