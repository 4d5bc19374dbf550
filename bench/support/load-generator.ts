// Load generator process: a fixed number of connections, each with one request under way, for a time; prints one JSON line.
//
// Argument: LoadOptions as JSON. undici's dispatch interface, without promises or streams per request: what the generator itself
// costs is in the result, because it shares the machine with what it measures.
import { createHistogram } from 'node:perf_hooks';
import { Client, type Dispatcher } from 'undici';
import { createTraffic, type TrafficName } from './http-traffic.ts';

export type LoadOptions = {
  readonly origin: string;
  readonly apiKey: string;
  readonly traffic: TrafficName;
  readonly connections: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
};

export type LoadResult = {
  /** Answers within the measured time, and items (events, assignments) of those with a 2xx status. */
  readonly requests: number;
  readonly items: number;
  /** Items of the warm-up too, for what is counted over the whole run. */
  readonly itemsWithWarmUp: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** An answer that was not 2xx, shortened; null when there was none. */
  readonly refusal: string | null;
  /** CPU time of this process while it measured, as a share of one core. */
  readonly generatorCpuRatio: number;
};

const options = JSON.parse(process.argv[2] ?? '') as LoadOptions;
const traffic = createTraffic(options.traffic);
const clients = Array.from({ length: options.connections }, () => new Client(options.origin, { pipelining: 1 }));
const headers = { authorization: `Bearer ${options.apiKey}`, 'content-type': 'application/json' };

type Answer = { readonly status: number; readonly body: string };

/** Sends one request; the answer's body is kept only when it is a refusal. A broken connection ends the process. */
function send(client: Client, body: Buffer, done: (answer: Answer) => void): void {
  let status = 0;
  let text = '';
  const request: Dispatcher.DispatchOptions = { method: 'POST', path: traffic.path, headers, body };
  client.dispatch(request, {
    onRequestStart: () => undefined,
    onResponseStart: (_controller, statusCode) => {
      status = statusCode;
    },
    onResponseData: (_controller, chunk) => {
      if (status >= 300 && text.length < 500) text += chunk.toString();
    },
    onResponseEnd: () => done({ status, body: text }),
    onResponseError: (_controller, error) => {
      throw error;
    },
  });
}

const isAccepted = (status: number): boolean => status >= 200 && status < 300;

/** Each connection takes bodies until there are none. */
async function sendAll(bodies: readonly Buffer[]): Promise<void> {
  let next = 0;
  await Promise.all(
    clients.map(
      (client) =>
        new Promise<void>((resolve, reject) => {
          const step = (): void => {
            const body = bodies[next];
            next += 1;
            if (body === undefined) resolve();
            else
              send(client, body, ({ status, body: text }) => {
                if (isAccepted(status)) step();
                else reject(new Error(`a preparing request was answered with ${status}: ${text}`));
              });
          };
          step();
        }),
    ),
  );
}

async function measure(): Promise<LoadResult> {
  const histogram = createHistogram();
  const statuses: Record<string, number> = {};
  let refusal: string | null = null;
  let requests = 0;
  let items = 0;
  let itemsWithWarmUp = 0;
  const startedAt = performance.now();
  const measuredFrom = startedAt + options.warmUpMs;
  const until = measuredFrom + options.measureMs;
  let cpuAtStart: NodeJS.CpuUsage | undefined;
  setTimeout(() => {
    cpuAtStart = process.cpuUsage();
  }, options.warmUpMs);
  await Promise.all(
    clients.map(
      (client) =>
        new Promise<void>((resolve) => {
          const step = (): void => {
            const sentAt = performance.now();
            if (sentAt >= until) {
              resolve();
              return;
            }
            send(client, traffic.next(), ({ status, body }) => {
              const now = performance.now();
              if (isAccepted(status)) itemsWithWarmUp += traffic.itemsPerRequest;
              if (now >= measuredFrom && now < until) {
                requests += 1;
                statuses[status] = (statuses[status] ?? 0) + 1;
                if (isAccepted(status)) items += traffic.itemsPerRequest;
                else refusal ??= body;
                histogram.record(Math.max(1, Math.round((now - sentAt) * 1_000)));
              }
              step();
            });
          };
          step();
        }),
    ),
  );
  const cpu = process.cpuUsage(cpuAtStart);
  const ms = (microseconds: number): number => microseconds / 1_000;
  return {
    requests,
    items,
    itemsWithWarmUp,
    seconds: options.measureMs / 1_000,
    p50Ms: ms(histogram.percentile(50)),
    p99Ms: ms(histogram.percentile(99)),
    maxMs: ms(histogram.max),
    statuses,
    refusal,
    generatorCpuRatio: (cpu.user + cpu.system) / 1_000 / options.measureMs,
  };
}

await sendAll(traffic.preparing);
const result = await measure();
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
