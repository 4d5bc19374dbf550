// Delivers exposures in batches: at least once and idempotent by event id and day; what waits is repeated until the service has it.
import { retryDelayMs } from './retry-delay.ts';
import { type Settings, toHeaders, toUrl } from './settings.ts';

export type ExposureEvent = {
  readonly event_id: string;
  readonly event_type: 'exposure';
  readonly unit_type: string;
  readonly unit_id: string;
  readonly experiments: readonly { readonly experiment_id: string; readonly variant_id: string }[];
  readonly context?: { readonly [name: string]: string | number | boolean | null };
  readonly timestamp: string;
};

export type ExposureQueue = {
  /** False, and an error, when too many wait already. */
  add(event: ExposureEvent): boolean;
  flush(): Promise<number>;
  /** Hands over what waits at the moment when the page goes away. */
  flushOnHide(): void;
  close(): Promise<void>;
};

type Refusals = { results?: { status: string; message?: string }[]; message?: string };

/** The service itself waits up to ten seconds for Kafka. */
const deliveryTimeoutMs = 15_000;

export function createExposureQueue(settings: Settings, ingestionUrl: string): ExposureQueue {
  const { maxBatchEvents, ingestionApiKey } = settings;
  const url = toUrl(ingestionUrl, '/v1/events');
  const type = 'application/json';
  const key = toHeaders(ingestionApiKey === undefined ? settings.apiKey : ingestionApiKey);
  /** In the order of arrival; an event leaves when the service has it, or refuses it for good. */
  const waiting = new Map<string, ExposureEvent>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let sending: Promise<void> | undefined;
  let attempt = 0;
  let isClosed = false;

  const report = (error: unknown): void => settings.onError('exposure', error as Error);
  const reportUndelivered = (): void => report(new Error(`${waiting.size} exposures are not delivered`));
  const schedule = (delayMs: number): void => {
    if (!isClosed) timer ??= setTimeout(flush, delayMs);
  };
  const takeBatch = (): ExposureEvent[] => [...waiting.values()].slice(0, maxBatchEvents);
  const remove = (events: readonly ExposureEvent[]): void => {
    for (const { event_id } of events) waiting.delete(event_id);
  };
  const post = (events: readonly ExposureEvent[], init: RequestInit): Promise<Response> =>
    settings.fetch(url, {
      method: 'POST',
      headers: { ...key, 'content-type': type },
      body: JSON.stringify({ events }),
      ...init,
    });

  const sendAll = async (): Promise<void> => {
    while (waiting.size > 0) {
      const batch = takeBatch();
      let retryAfter: string | null = null;
      let isSettled = false;
      try {
        const response = await post(batch, { signal: AbortSignal.timeout(deliveryTimeoutMs) });
        const { status } = response;
        // 207 and 400 name what is refused for good, and 413 stays as it is however often it is sent. Everything else may pass.
        isSettled = [202, 207, 400, 413].includes(status);
        retryAfter = response.headers.get('retry-after');
        if (status !== 202) {
          const { results, message } = (await response.json()) as Refusals;
          const refused = results?.find((result) => result.status === 'rejected');
          throw new Error(`exposures were answered with ${status}: ${refused?.message ?? message}`);
        }
      } catch (error) {
        report(error);
      }
      if (!isSettled) {
        schedule(retryDelayMs(attempt++, retryAfter));
        return;
      }
      attempt = 0;
      remove(batch);
    }
  };
  const flush = async (): Promise<number> => {
    await sending;
    clearTimeout(timer);
    timer = undefined;
    sending ??= sendAll().finally(() => {
      sending = undefined;
    });
    await sending;
    return waiting.size;
  };

  return {
    add: (event) => {
      if (waiting.size >= settings.maxQueuedEvents) {
        report(new Error('too many exposures wait already'));
        return false;
      }
      waiting.set(event.event_id, event);
      if (waiting.size === maxBatchEvents && attempt === 0) void flush();
      else schedule(settings.flushIntervalMs);
      return true;
    },
    flush,
    flushOnHide: () => {
      const events = takeBatch();
      if (events.length === 0) return;
      if (key.authorization) {
        // A beacon cannot carry a key. The events stay until they are answered: should the page live on, they may be sent again.
        post(events, { keepalive: true }).then(({ status }) => status === 202 && remove(events), report);
      } else if (navigator.sendBeacon(url, new Blob([JSON.stringify({ events })], { type }))) {
        remove(events);
      }
    },
    close: async () => {
      await flush();
      isClosed = true;
      clearTimeout(timer);
      if (waiting.size > 0) reportUndelivered();
    },
  };
}
