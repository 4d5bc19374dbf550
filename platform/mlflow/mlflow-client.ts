// Requests to MLflow's REST API: bounded in time, with errors that say whether trying again can help.
import { FatalError, RetryableError } from '#platform/errors.ts';

export type MlflowConfig = {
  /** Base address of the tracking server, such as http://localhost:5000. */
  readonly url: string;
  readonly timeoutMs?: number;
};

/** What MLflow answers when it refuses a request. */
export type MlflowRefusal = { readonly errorCode: string; readonly message: string };

export type MlflowAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: MlflowRefusal };

export type MlflowRequest = {
  readonly method?: 'GET' | 'POST';
  /** Below `/api/2.0/mlflow/`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
};

export type MlflowClient = {
  readonly url: string;
  /** The answer, or a refusal (4xx) that the caller may expect. @throws RetryableError when MLflow is away or fails. */
  request(request: MlflowRequest): Promise<MlflowAnswer<unknown>>;
  /** Stores a file at a path below the server's artifact root. */
  uploadArtifact(path: string, content: string | Buffer): Promise<void>;
};

const defaultTimeoutMs = 10_000;

export function createMlflowClient({ url, timeoutMs = defaultTimeoutMs }: MlflowConfig): MlflowClient {
  const send = async (target: URL, init: RequestInit): Promise<{ status: number; text: string }> => {
    try {
      // One connection per request: the server closes idle ones after five seconds, and a request that meets that moment fails.
      const headers = { ...init.headers, connection: 'close' };
      const response = await fetch(target, { ...init, headers, signal: AbortSignal.timeout(timeoutMs) });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      // fetch says only "fetch failed"; what happened is its cause.
      const cause = error instanceof TypeError && error.cause !== undefined ? error.cause : error;
      throw new RetryableError(`MLflow at ${url} cannot be reached`, { code: 'dependency-unavailable', cause });
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
  return {
    url,
    request: async ({ method = 'GET', path, query, body }) => {
      const target = new URL(`${url}/api/2.0/mlflow/${path}`);
      for (const [name, value] of Object.entries(query ?? {})) target.searchParams.set(name, value);
      const { status, text } = await send(target, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      if (status !== 200) return { ok: false, refusal: refuse(status, text) };
      try {
        return { ok: true, value: JSON.parse(text) as unknown };
      } catch (error) {
        throw new FatalError(`${url} does not answer JSON: is this the address of an MLflow server?`, {
          code: 'config-invalid',
          cause: error,
        });
      }
    },
    uploadArtifact: async (path, content) => {
      const target = new URL(`${url}/api/2.0/mlflow-artifacts/artifacts/${path}`);
      const { status, text } = await send(target, { method: 'PUT', body: content });
      if (status === 200) return;
      const { errorCode, message } = refuse(status, text);
      throw new FatalError(`MLflow refused to store ${path} (${errorCode}): ${message}`, { code: 'unexpected' });
    },
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
