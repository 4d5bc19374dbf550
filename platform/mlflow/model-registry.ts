// Reading MLflow's model registry: whether a model version exists, is ready, or is gone.
import { FatalError } from '#platform/errors.ts';
import { collectPages, findInMlflow, fromTagList, quoteText } from './mlflow-call.ts';
import type { MlflowClient } from './mlflow-client.ts';

export type ModelVersion = {
  readonly name: string;
  /** MLflow counts versions of a model from 1 and never gives a number twice. */
  readonly version: number;
  readonly status: string;
  readonly source: string;
  readonly runId: string | null;
  readonly tags: Readonly<Record<string, string>>;
};

/** `ready` can be used; the others say why not, in words that continue "model X version N". */
export type ModelVersionState =
  | { readonly state: 'ready'; readonly modelVersion: ModelVersion }
  | { readonly state: 'missing' | 'deleted' | 'not-ready'; readonly explanation: string };

export type ModelRegistry = {
  readonly url: string;
  /** @throws RetryableError when the registry cannot be asked. */
  lookUp(name: string, version: string): Promise<ModelVersionState>;
  /** Every version of a model, oldest first, or null when there is no such model. */
  listVersions(name: string): Promise<ModelVersion[] | null>;
  /** Versions of any model that match MLflow's filter, such as `run_id = '…'`, by name and number. */
  searchVersions(filter: string): Promise<ModelVersion[]>;
};

type VersionBody = {
  name?: unknown;
  version?: unknown;
  status?: unknown;
  source?: unknown;
  run_id?: unknown;
  tags?: readonly { key: string; value: string }[];
};

/** Versions asked for at a time; the server allows more. */
const pageSize = 1_000;

function fromVersionBody(body: VersionBody): ModelVersion {
  const version = Number(body.version);
  if (typeof body.name !== 'string' || !Number.isSafeInteger(version)) {
    throw new FatalError('MLflow answered a model version without name and number', { code: 'unexpected' });
  }
  return {
    name: body.name,
    version,
    status: String(body.status ?? 'READY'),
    source: String(body.source ?? ''),
    runId: typeof body.run_id === 'string' && body.run_id !== '' ? body.run_id : null,
    tags: fromTagList(body.tags),
  };
}

export function createModelRegistry(client: MlflowClient): ModelRegistry {
  const searchVersions = async (filter: string): Promise<ModelVersion[]> => {
    const versions = await collectPages<VersionBody>(client, `a search for model versions (${filter})`, {
      field: 'model_versions',
      request: (page) => ({
        path: 'model-versions/search',
        query: { filter, max_results: String(pageSize), ...page },
      }),
    });
    return versions
      .map(fromVersionBody)
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version));
  };
  const listVersions = async (name: string): Promise<ModelVersion[] | null> => {
    const model = await findInMlflow(client, `model ${name}`, { path: 'registered-models/get', query: { name } });
    return model === null ? null : searchVersions(`name=${quoteText(name)}`);
  };

  const explainAbsence = async (name: string, version: string): Promise<ModelVersionState> => {
    const versions = await listVersions(name);
    if (versions === null) return { state: 'missing', explanation: `there is no registered model ${name}` };
    const latest = versions.at(-1)?.version ?? 0;
    const known = versions.map((candidate) => candidate.version);
    const has =
      known.length === 0 ? 'no versions' : `version${known.length === 1 ? '' : 's'} ${known.slice(-10).join(', ')}`;
    // Numbers are given in order and only once, so a gap is a deletion. Nothing tells of a deleted latest version.
    if (/^\d+$/.test(version) && Number(version) > 0 && Number(version) < latest) {
      return { state: 'deleted', explanation: `it was deleted from the registry, where model ${name} has ${has}` };
    }
    return { state: 'missing', explanation: `it does not exist (or was deleted): model ${name} has ${has}` };
  };

  return {
    url: client.url,
    listVersions,
    searchVersions,
    lookUp: async (name, version) => {
      const found = await findInMlflow(client, `model ${name} version ${version}`, {
        path: 'model-versions/get',
        query: { name, version },
      });
      if (found === null) return explainAbsence(name, version);
      const modelVersion = fromVersionBody((found.model_version ?? {}) as VersionBody);
      if (modelVersion.status !== 'READY') {
        return { state: 'not-ready', explanation: `its registration is not complete (${modelVersion.status})` };
      }
      return { state: 'ready', modelVersion };
    },
  };
}
