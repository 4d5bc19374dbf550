// How fast the consumer groups work through a backlog: the sink beside a bare COPY, the others beside decoding alone and the sink.
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { type CopiedRows, copyEventRows, readEventRows } from '../baselines/bare-copy.ts';
import { type Comparison, type Contender, runComparisons } from '../contenders.ts';
import type { Finding } from '../findings.ts';
import type { BenchOptions, MeasurementName } from '../options.ts';
import type { BenchStack } from '../support/bench-stack.ts';
import { fillTopic } from '../support/fill-topic.ts';
import { countTopic, type GroupName, runGroup } from '../support/group-run.ts';
import { type ProgressSample, steadyRate } from '../support/steady-rate.ts';
import { createEvents, storeAssignments } from '../support/workload.ts';

export const groupMeasurements = [
  'postgres-sink',
  'parquet-archiver',
  'metrics-aggregator',
  'dataset-builder',
] as const satisfies readonly MeasurementName[];

/** Of 1,000 events, how many carry a plan or a reaction to one, of kilobytes. */
export const plansPerThousand = 20;

function groupContender(bench: BenchStack, group: GroupName): Contender {
  return {
    name: group,
    unit: 'events',
    run: async () => {
      const { perSecond, cpuUs, peakBytes } = await runGroup(bench, group);
      return {
        perSecond,
        notes: {
          'CPU µs/event': cpuUs.process,
          'Postgres CPU µs/event': cpuUs.postgres,
          'Kafka CPU µs/event': cpuUs.kafka,
          'peak MB': peakBytes / 1e6,
        },
      };
    },
  };
}

function copyContender(bench: BenchStack): Contender {
  let rows: CopiedRows | undefined;
  return {
    name: 'bare COPY',
    unit: 'rows',
    run: async () => {
      // The sink has run before: what it wrote is what is copied.
      rows ??= await readEventRows(bench);
      const { perSecond, cpuUs } = await copyEventRows(bench, rows);
      return { perSecond, notes: { 'Postgres CPU µs/row': cpuUs.postgres } };
    },
  };
}

function decodeContender(bench: BenchStack): Contender {
  return {
    name: 'decoding alone',
    unit: 'events',
    run: async () => {
      const records = await countTopic(bench);
      const output = await runOwnProgram(
        'bench/baselines/consume-and-decode.ts',
        [bench.endpoints.kafka.brokers.join(','), bench.eventsTopic, String(records)],
        { PATH: process.env.PATH ?? '' },
      );
      const { samples, cpuMs } = JSON.parse(output) as { samples: ProgressSample[]; cpuMs: number };
      return { perSecond: steadyRate(samples, records), notes: { 'CPU µs/event': (cpuMs * 1_000) / records } };
    },
  };
}

export async function measureConsumerGroups(
  bench: BenchStack,
  options: BenchOptions,
  onProgress: (text: string) => void,
): Promise<Finding[]> {
  const wanted = groupMeasurements.filter((name) => options.only.has(name));
  if (wanted.length === 0) return [];
  const workload = {
    count: options.events,
    units: options.units,
    plansPerThousand,
    startMs: Date.UTC(2026, 0, 15, 10),
  };
  const filled = await fillTopic(bench, createEvents(workload));
  await storeAssignments(bench.pool, workload);
  onProgress(
    `${filled.records.toLocaleString('en')} events of ${options.units.toLocaleString('en')} units are on the topic, ${Math.round(filled.bytes / filled.records)} bytes each`,
  );
  const sink = groupContender(bench, 'postgres-sink');
  const copy = copyContender(bench);
  const decode = decodeContender(bench);
  const comparisons = wanted.flatMap((name): Comparison[] => {
    if (name === 'postgres-sink') return [{ name, subject: sink, baseline: copy, bar: 0.5, aim: 0.8 }];
    const subject = groupContender(bench, name);
    return [
      { name, subject, baseline: decode, bar: 0.3 },
      { name, subject, baseline: sink, bar: 1 },
    ];
  });
  return runComparisons(comparisons, { repetitions: options.repetitions, onProgress });
}
