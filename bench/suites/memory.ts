// The memory of every process while a backlog of millions is there: the most it ever held, and whether it still grows at the end.
import type { ProcessName } from '#infra/system/process-specs.ts';
import { topics } from '#schemas/topics.ts';
import { type Finding, spreadOf, toLimitFinding } from '../findings.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchStack } from '../support/bench-stack.ts';
import { fillTopic } from '../support/fill-topic.ts';
import { countTopic, type MemorySample, resetGroups, runGroup } from '../support/group-run.ts';
import { generateLoad } from '../support/http-load.ts';
import type { TrafficName } from '../support/http-traffic.ts';
import { residentBytesOf } from '../support/process-usage.ts';
import { unlimitedRequests, warmUpMs } from '../support/server-run.ts';
import { createEvents } from '../support/workload.ts';
import { plansPerThousand } from './consumer-groups.ts';

const limitMb = 400;
/** Growth of the median from the second third of a run to its last third. */
const flatRatio = 1.1;
const servicePollMs = 200;
/** Services are loaded for so many times the length of an HTTP measurement. */
const serviceLoadFactor = 3;

type MemoryRun = { readonly peakBytes: number; readonly residentBytes: readonly number[] };

const serviceTraffic: Readonly<Partial<Record<ProcessName, TrafficName>>> = {
  'ingestion-service': 'batches-of-100',
  'assignment-service': 'new-units',
};

export async function measureMemory(
  bench: BenchStack,
  options: BenchOptions,
  onProgress: (text: string) => void,
): Promise<Finding[]> {
  if (!options.only.has('memory')) return [];
  const missing = options.memoryEvents - (await countTopic(bench));
  if (missing > 0) {
    const startMs = Date.UTC(2026, 0, 16, 10);
    await fillTopic(bench, createEvents({ count: missing, units: options.units, plansPerThousand, startMs, seed: 13 }));
  }
  onProgress(`a backlog of ${(await countTopic(bench)).toLocaleString('en')} events is on the topic`);
  const findings: Finding[] = [];
  const add = (name: string, run: MemoryRun): void => {
    findings.push(...toMemoryFindings(name, run));
    onProgress(`${name}: peak ${Math.round(run.peakBytes / 1e6)} MB`);
  };
  for (const group of topics.events.groups) {
    const { peakBytes, samples } = await runGroup(bench, group);
    add(group, { peakBytes, residentBytes: samples.map(({ residentBytes }: MemorySample) => residentBytes) });
    await resetGroups(bench, [group]);
  }
  // Afterwards, because they write to the topic.
  for (const [service, traffic] of Object.entries(serviceTraffic) as [ProcessName, TrafficName][]) {
    add(service, await watchService(bench, options, { service, traffic }));
  }
  return findings;
}

async function watchService(
  bench: BenchStack,
  options: BenchOptions,
  { service, traffic }: { service: ProcessName; traffic: TrafficName },
): Promise<MemoryRun> {
  await using server = await bench.startProcess(service, { settings: unlimitedRequests });
  const residentBytes: number[] = [];
  const timer = setInterval(() => residentBytes.push(residentBytesOf(server.pid, 'VmRSS')), servicePollMs);
  try {
    await generateLoad({
      origin: server.url,
      apiKey: bench.access.adminKey,
      traffic,
      connections: options.connections,
      warmUpMs,
      measureMs: options.seconds * serviceLoadFactor * 1_000,
    });
  } finally {
    clearInterval(timer);
  }
  return { peakBytes: residentBytesOf(server.pid, 'VmHWM'), residentBytes };
}

export function toMemoryFindings(name: string, { peakBytes, residentBytes }: MemoryRun): Finding[] {
  const third = Math.floor(residentBytes.length / 3);
  const medianMb = (from: number, to?: number): number => spreadOf(residentBytes.slice(from, to)).median / 1e6;
  const [middleMb, lastMb] = [medianMb(third, 2 * third + 1), medianMb(2 * third)];
  return [
    toLimitFinding(
      `${name}: peak memory`,
      { unit: 'MB', values: [peakBytes / 1e6] },
      { limit: limitMb, exclusive: true },
    ),
    toLimitFinding(
      `${name}: memory of the last third by that of the second`,
      { unit: '×', values: [lastMb / middleMb], notes: { 'second third MB': middleMb, 'last third MB': lastMb } },
      { limit: flatRatio },
    ),
  ];
}
