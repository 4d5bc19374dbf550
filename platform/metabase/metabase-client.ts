// Requests to Metabase's REST API: bounded in time, with errors that carry what Metabase said; nothing that writes is repeated.
import { FatalError, RetryableError } from '#platform/errors.ts';

export type MetabaseCredentials =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'session'; readonly session: string };

export type MetabaseClient = {
  readonly url: string;
  /** The body of a 2xx answer. @throws RetryableError when Metabase is away or fails, FatalError with its answer when it refuses. */
  get<T>(path: string): Promise<T>;
  /** The same, and null for 404. */
  find<T>(path: string): Promise<T | null>;
  post<T>(path: string, body: object): Promise<T>;
  put<T>(path: string, body: object): Promise<T>;
};

const timeoutMs = 30_000;

function headersOf(credentials: MetabaseCredentials | null): Record<string, string> {
  if (credentials === null) return {};
  return credentials.kind === 'key' ? { 'X-API-KEY': credentials.key } : { 'X-Metabase-Session': credentials.session };
}

/** @param url Base address, such as http://localhost:3000. @param credentials Null for the few routes that need none. */
export function createMetabaseClient(url: string, credentials: MetabaseCredentials | null): MetabaseClient {
  const send = async (method: string, path: string, body?: object): Promise<{ status: number; text: string }> => {
    try {
      const response = await fetch(`${url.replace(/\/$/, '')}/api/${path}`, {
        method,
        headers: { ...headersOf(credentials), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      // fetch says only "fetch failed"; what happened is its cause.
      const cause = error instanceof TypeError && error.cause !== undefined ? error.cause : error;
      throw new RetryableError(`Metabase at ${url} cannot be reached`, { code: 'dependency-unavailable', cause });
    }
  };
  const parse = <T>(method: string, path: string, { status, text }: { status: number; text: string }): T => {
    const refusal = `${method} /api/${path}: Metabase at ${url} answered ${status}: ${text.slice(0, 1_000)}`;
    if (status >= 500 || status === 429) throw new RetryableError(refusal, { code: 'dependency-unavailable' });
    if (status < 200 || status >= 300) throw new FatalError(refusal, { code: 'config-invalid' });
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new FatalError(`${url}/api/${path} does not answer JSON: is this the address of a Metabase?`, {
        code: 'config-invalid',
        cause,
      });
    }
  };
  return {
    url,
    get: async (path) => parse('GET', path, await send('GET', path)),
    find: async (path) => {
      const answer = await send('GET', path);
      return answer.status === 404 ? null : parse('GET', path, answer);
    },
    post: async (path, body) => parse('POST', path, await send('POST', path, body)),
    put: async (path, body) => parse('PUT', path, await send('PUT', path, body)),
  };
}
