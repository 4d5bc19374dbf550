// Reading MLflow's model registry: whether a model version exists, is ready, or is gone.
import { FatalError } from '#platform/errors.ts';
import type { MlflowAnswer, MlflowClient } from './mlflow-client.ts';

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
};

type VersionBody = {
  name?: unknown;
  version?: unknown;
  status?: unknown;
  source?: unknown;
  run_id?: unknown;
  tags?: readonly { key: string; value: string }[];
};

const notFound = 'RESOURCE_DOES_NOT_EXIST';
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
    tags: Object.fromEntries((body.tags ?? []).map(({ key, value }) => [key, value])),
  };
}

/** MLflow's filters know two kinds of quotes and no escapes. */
const quote = (text: string): string => (text.includes("'") ? `"${text}"` : `'${text}'`);

export function createModelRegistry(client: MlflowClient): ModelRegistry {
  /** The value, or null when it does not exist. */
  const unwrap = (what: string, answer: MlflowAnswer<unknown>): Record<string, unknown> | null => {
    if (answer.ok) return answer.value as Record<string, unknown>;
    const { errorCode, message } = answer.refusal;
    if (errorCode === notFound) return null;
    throw new FatalError(`MLflow refused to tell of ${what} (${errorCode}): ${message}`, { code: 'unexpected' });
  };

  const listVersions = async (name: string): Promise<ModelVersion[] | null> => {
    const model = await client.request({ path: 'registered-models/get', query: { name } });
    if (unwrap(`model ${name}`, model) === null) return null;
    const versions: ModelVersion[] = [];
    let pageToken = '';
    do {
      const answer = await client.request({
        path: 'model-versions/search',
        query: {
          filter: `name=${quote(name)}`,
          max_results: String(pageSize),
          ...(pageToken === '' ? {} : { page_token: pageToken }),
        },
      });
      const page = unwrap(`versions of ${name}`, answer) ?? {};
      versions.push(...((page.model_versions ?? []) as VersionBody[]).map(fromVersionBody));
      pageToken = String(page.next_page_token ?? '');
    } while (pageToken !== '');
    return versions.sort((a, b) => a.version - b.version);
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
    lookUp: async (name, version) => {
      const answer = await client.request({ path: 'model-versions/get', query: { name, version } });
      const found = unwrap(`model ${name} version ${version}`, answer);
      if (found === null) return explainAbsence(name, version);
      const modelVersion = fromVersionBody((found.model_version ?? {}) as VersionBody);
      if (modelVersion.status !== 'READY') {
        return { state: 'not-ready', explanation: `its registration is not complete (${modelVersion.status})` };
      }
      return { state: 'ready', modelVersion };
    },
  };
}
