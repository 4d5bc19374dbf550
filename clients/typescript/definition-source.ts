// Keeps definitions up to date: follows the stream, or asks again and again; comes back after every failure.
import type { ClientDefinition } from '../../domain/experiment/client-definition.ts';
import { readEventStream } from './event-stream.ts';
import { retryDelayMs } from './retry-delay.ts';
import { type Settings, toHeaders, toUrl } from './settings.ts';

/** The whole state, or with `from` and `removed` what is different since then. */
type DefinitionNews = {
  readonly etag: string;
  readonly experiments: readonly ClientDefinition[];
  readonly from?: string;
  readonly removed?: readonly string[];
};

/** The service sends a sign of life every 15 s; three missing ones mean that the connection is dead. */
const silenceMs = 45_000;

/** Starts at once; the returned function ends it. */
export function followDefinitions(
  settings: Settings,
  /** `removed` holds keys; null when `experiments` are all there are. */
  onDefinitions: (experiments: readonly ClientDefinition[], removed: readonly string[] | null) => void,
): () => void {
  const { assignmentUrl, definitions, pollIntervalMs } = settings;
  let etag = '';
  let isClosed = false;
  let attempt = 0;
  let request: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout>;

  const take = (news: DefinitionNews): void => {
    if (news.from !== undefined && news.from !== etag) {
      etag = '';
      throw new Error('a change of the definitions was missed');
    }
    etag = news.etag;
    onDefinitions(news.experiments, news.removed ?? null);
  };
  /** Gives the request up when nothing has come for so long. */
  const expectWithin = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => request?.abort(new Error('the service is silent')), ms);
  };

  /** One request, for a stream until it ends, and then the next one. */
  const follow = async (url: string): Promise<void> => {
    let pauseMs = pollIntervalMs;
    let retryAfter: string | null = null;
    const headers = toHeaders(settings.apiKey);
    if (etag) headers['if-none-match'] = `"${etag}"`;
    try {
      request = new AbortController();
      expectWithin(settings.timeoutMs);
      const response = await settings.fetch(url, { headers, signal: request.signal, cache: 'no-store' });
      if (response.ok) {
        attempt = 0;
        if (pollIntervalMs) take(await response.json());
        else
          await readEventStream(
            response.body!,
            (data) => take(JSON.parse(data)),
            () => expectWithin(silenceMs),
          );
      } else if (response.status !== 304) {
        retryAfter = response.headers.get('retry-after');
        throw new Error(`definitions were answered with ${response.status}`);
      }
    } catch (error) {
      pauseMs = undefined;
      if (!isClosed) settings.onError('definitions', error as Error);
    }
    request?.abort();
    clearTimeout(timer);
    pauseMs ??= retryDelayMs(attempt++, retryAfter);
    if (!isClosed) timer = setTimeout(follow, pauseMs, url);
  };

  if (definitions) take(definitions as DefinitionNews);
  if (assignmentUrl) void follow(toUrl(assignmentUrl, pollIntervalMs ? '/v1/definitions' : '/v1/definitions/stream'));
  return () => {
    isClosed = true;
    clearTimeout(timer);
    request?.abort();
  };
}
