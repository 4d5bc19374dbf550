// Requests to MLflow's REST API: bounded in time, repeated where that is safe, with errors that say whether trying again can help.
import { setTimeout as delay } from 'node:timers/promises';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { type HttpAnswer, type HttpRequest, sendRequest } from './send-request.ts';

export type MlflowConfig = {
  /** Base address of the tracking server, such as http://localhost:5000. */
  readonly url: string;
  readonly timeoutMs?: number;
  /** Waits before each further try of a request that may be repeated. */
  readonly retryDelaysMs?: readonly number[];
};

/** What MLflow answers when it refuses a request. */
export type MlflowRefusal = { readonly errorCode: string; readonly message: string };

export type MlflowAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: MlflowRefusal };

export type MlflowRequest = {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below `/api/2.0/mlflow/`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  /** Whether a second request changes nothing more than the first; so it is for GET when absent. */
  readonly isRepeatable?: boolean;
};

export type MlflowClient = {
  readonly url: string;
  /** The answer, or a refusal (4xx) that the caller may expect. @throws RetryableError when MLflow is away or fails. */
  request(request: MlflowRequest): Promise<MlflowAnswer<unknown>>;
  /** Stores a file at a path below the server's artifact root; a second time replaces it. */
  uploadArtifact(path: string, content: string | Buffer): Promise<void>;
  /** The bytes of a file below the server's artifact root, or null when there is none. */
  downloadArtifact(path: string): Promise<Buffer | null>;
  /** Names of the files and folders in a folder below the server's artifact root; none when it does not exist. */
  listArtifacts(path: string): Promise<readonly ArtifactEntry[]>;
};

export type ArtifactEntry = { readonly name: string; readonly isFolder: boolean; readonly sizeBytes: number };

const defaultTimeoutMs = 10_000;
const defaultRetryDelaysMs = [200, 1_000];
const artifactsPath = 'api/2.0/mlflow-artifacts/artifacts';

export function createMlflowClient(config: MlflowConfig): MlflowClient {
  const { url, timeoutMs = defaultTimeoutMs, retryDelaysMs = defaultRetryDelaysMs } = config;
  const repeated = async <T>(isRepeatable: boolean, work: () => Promise<T>): Promise<T> => {
    for (const delayMs of isRepeatable ? retryDelaysMs : []) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        await delay(delayMs);
      }
    }
    return work();
  };
  const send = async (target: URL, request: Omit<HttpRequest, 'timeoutMs'>): Promise<HttpAnswer> => {
    try {
      return await sendRequest(target, { ...request, timeoutMs });
    } catch (error) {
      throw new RetryableError(`MLflow at ${url} cannot be reached`, { code: 'dependency-unavailable', cause: error });
    }
  };
  const refuse = (status: number, text: string): MlflowRefusal => {
    if (status >= 500 || status === 429) {
      throw new RetryableError(`MLflow at ${url} answered ${status}: ${text.slice(0, 300)}`, {
        code: 'dependency-unavailable',
      });
    }
    const refusal = parseRefusal(text);
    if (refusal === null) {
      throw new FatalError(
        `${url} answered ${status} without an MLflow error: is this the address of an MLflow server, and may this host name be used (--allowed-hosts)? It said: ${text.slice(0, 300)}`,
        { code: 'config-invalid' },
      );
    }
    return refusal;
  };
  const parse = (body: Buffer): unknown => {
    try {
      return JSON.parse(body.toString('utf8'));
    } catch (error) {
      throw new FatalError(`${url} does not answer JSON: is this the address of an MLflow server?`, {
        code: 'config-invalid',
        cause: error,
      });
    }
  };
  return {
    url,
    request: ({ method = 'GET', path, query, body, isRepeatable = method === 'GET' }) =>
      repeated(isRepeatable, async () => {
        const target = new URL(`${url}/api/2.0/mlflow/${path}`);
        for (const [name, value] of Object.entries(query ?? {})) target.searchParams.set(name, value);
        const answer = await send(target, {
          method,
          ...(body === undefined
            ? {}
            : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        });
        if (answer.status !== 200) return { ok: false, refusal: refuse(answer.status, answer.body.toString('utf8')) };
        return { ok: true, value: parse(answer.body) };
      }),
    uploadArtifact: (path, content) =>
      repeated(true, async () => {
        const target = new URL(`${url}/${artifactsPath}/${path}`);
        const { status, body } = await send(target, { method: 'PUT', body: content });
        if (status === 200) return;
        const { errorCode, message } = refuse(status, body.toString('utf8'));
        throw new FatalError(`MLflow refused to store ${path} (${errorCode}): ${message}`, { code: 'unexpected' });
      }),
    downloadArtifact: (path) =>
      repeated(true, async () => {
        const { status, body } = await send(new URL(`${url}/${artifactsPath}/${path}`), { method: 'GET' });
        if (status === 200) return body;
        if (status === 404) return null;
        // The proxy of an S3 store answers a missing object as a failure of its own.
        if (body.includes('NoSuchKey') || body.includes('Not Found')) return null;
        const { errorCode, message } = refuse(status, body.toString('utf8'));
        throw new FatalError(`MLflow refused to give ${path} (${errorCode}): ${message}`, { code: 'unexpected' });
      }),
    listArtifacts: (path) =>
      repeated(true, async () => {
        const target = new URL(`${url}/${artifactsPath}`);
        target.searchParams.set('path', path);
        const { status, body } = await send(target, { method: 'GET' });
        if (status !== 200) {
          const { errorCode, message } = refuse(status, body.toString('utf8'));
          throw new FatalError(`MLflow refused to list ${path} (${errorCode}): ${message}`, { code: 'unexpected' });
        }
        const { files = [] } = parse(body) as {
          files?: { path: string; is_dir?: boolean; file_size?: number | string }[];
        };
        return files.map((file) => ({
          name: file.path.replace(/^.*\//, ''),
          isFolder: file.is_dir === true,
          sizeBytes: Number(file.file_size ?? 0),
        }));
      }),
  };
}

function parseRefusal(text: string): MlflowRefusal | null {
  try {
    const { error_code: errorCode, message } = JSON.parse(text) as { error_code?: unknown; message?: unknown };
    return typeof errorCode === 'string' ? { errorCode, message: String(message ?? '') } : null;
  } catch {
    return null;
  }
}
