// Sends one HTTP request and repeats it unchanged while the service is busy or away, for as long as the deadline allows.

export type HttpAnswer = { readonly status: number; readonly body: unknown };

export type BusyRetryDeps = {
  readonly fetch: typeof globalThis.fetch;
  readonly sleep: (ms: number) => Promise<void>;
  readonly nowMs: () => number;
};
/** What every process uses; only tests have other clocks and answers. */
export const systemRetryDeps: BusyRetryDeps = {
  fetch: globalThis.fetch,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  nowMs: () => performance.now(),
};

export type BusyRetryConfig = {
  /** No repetition begins later than this after the first attempt. */
  readonly deadlineMs: number;
  /** One attempt is given up after this long; its outcome is then unknown, and repeating it is safe. */
  readonly attemptTimeoutMs: number;
};
export const defaultBusyRetryConfig: BusyRetryConfig = { deadlineMs: 60_000, attemptTimeoutMs: 30_000 };

const firstWaitMs = 100;
const longestWaitMs = 5_000;
const busyStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** The service stayed busy or away until the deadline. */
export class ServiceBusyError extends Error {
  constructor(url: string, attempts: number, options: { cause: unknown; lastStatus: number | null }) {
    const last = options.lastStatus === null ? 'no answer' : `status ${options.lastStatus}`;
    super(`${url} gave ${last} after ${attempts} attempts`, { cause: options.cause });
    this.name = 'ServiceBusyError';
  }
}

/**
 * Posts a JSON body. Repeats it on 429, 502, 503, 504 and on network errors, waiting as long as Retry-After says, else
 * twice as long each time; every other status is an answer. Safe only for requests that may be repeated.
 *
 * @throws ServiceBusyError when the deadline has passed.
 */
export async function postUntilAnswered(
  request: { readonly url: string; readonly apiKey: string; readonly body: unknown },
  deps: BusyRetryDeps,
  config: BusyRetryConfig = defaultBusyRetryConfig,
): Promise<HttpAnswer> {
  const startedAt = deps.nowMs();
  const body = JSON.stringify(request.body);
  for (let attempt = 1; ; attempt++) {
    let lastStatus: number | null = null;
    let cause: unknown = null;
    let waitMs = Math.min(firstWaitMs * 2 ** (attempt - 1), longestWaitMs);
    try {
      const response = await deps.fetch(request.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${request.apiKey}` },
        body,
        signal: AbortSignal.timeout(config.attemptTimeoutMs),
      });
      if (!busyStatuses.has(response.status)) return { status: response.status, body: await readBody(response) };
      lastStatus = response.status;
      waitMs = parseRetryAfterMs(response.headers.get('retry-after'), deps.nowMs()) ?? waitMs;
      await response.body?.cancel();
    } catch (error) {
      cause = error;
    }
    if (deps.nowMs() + waitMs - startedAt > config.deadlineMs) {
      throw new ServiceBusyError(request.url, attempt, { cause, lastStatus });
    }
    await deps.sleep(waitMs);
  }
}

/** Milliseconds to wait by a Retry-After header (seconds or an HTTP date); null when it is missing or makes no sense. */
export function parseRetryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null || header.trim() === '') return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds >= 0 ? seconds * 1000 : null;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

async function readBody(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return text;
  }
}
