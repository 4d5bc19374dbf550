// Measures one of our services, or another program in its place, under HTTP load: started for it, stopped after it.
import type { ProcessName } from '#infra/system/process-specs.ts';
import type { Sample } from '../findings.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchStack } from './bench-stack.ts';
import { generateLoad } from './http-load.ts';
import type { TrafficName } from './http-traffic.ts';
import { cpuMsOfTree } from './process-usage.ts';

export const warmUpMs = 2_000;

/** A limit per API key would be measured instead of the service. */
export const unlimitedRequests = { RATE_LIMIT_PER_SECOND: '1000000', RATE_LIMIT_BURST: '1000000' };

export type ServerRun = {
  readonly traffic: TrafficName;
  readonly process: ProcessName;
  /** Another program with the settings of that process. */
  readonly entry?: string;
  readonly settings?: Readonly<Record<string, string>>;
};

/** Speed in items (events, assignments) per second; every answer was 2xx. */
export async function measureServer(bench: BenchStack, options: BenchOptions, run: ServerRun): Promise<Sample> {
  await using server = await bench.startProcess(run.process, {
    settings: { ...unlimitedRequests, ...run.settings },
    ...(run.entry === undefined ? {} : { entry: run.entry }),
  });
  const watched = { server: server.pid, Postgres: bench.componentPid('postgres'), Kafka: bench.componentPid('kafka') };
  const before = Object.entries(watched).map(([name, pid]) => [name, pid, cpuMsOfTree(pid)] as const);
  const result = await generateLoad({
    origin: server.url,
    apiKey: bench.access.adminKey,
    traffic: run.traffic,
    connections: options.connections,
    warmUpMs,
    measureMs: options.seconds * 1_000,
  });
  const cpuPerItem = before.map(([name, pid, ms]): [string, number] => [
    `${name} CPU µs/item`,
    ((cpuMsOfTree(pid) - ms) * 1_000) / result.itemsWithWarmUp,
  ]);
  return {
    perSecond: result.items / result.seconds,
    notes: {
      'p50 ms': result.p50Ms,
      'p99 ms': result.p99Ms,
      ...Object.fromEntries(cpuPerItem),
      'load generator CPU share': result.generatorCpuRatio,
    },
  };
}
