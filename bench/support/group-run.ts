// Runs one consumer group as its real process over a filled topic, and watches its progress, memory and CPU time from outside.
import { setTimeout as sleep } from 'node:timers/promises';
import type { topics } from '#schemas/topics.ts';
import type { BenchProcess, BenchStack } from './bench-stack.ts';
import { cpuMsOfTree, residentBytesOf } from './process-usage.ts';
import { type ProgressSample, steadyRate } from './steady-rate.ts';

export type GroupName = (typeof topics.events.groups)[number];

/** What a group leaves in Postgres, to be emptied before it reads the topic again. */
const tablesOfGroup: Readonly<Record<GroupName, readonly string[]>> = {
  'postgres-sink': ['events'],
  'parquet-archiver': ['archive_manifest'],
  'metrics-aggregator': [
    'event_claims',
    'metric_aggregates',
    'metric_aggregate_bins',
    'first_exposures',
    'unit_metrics',
    'unit_daily_metrics',
    'unit_pending_metrics',
  ],
  'dataset-builder': ['training_rows', 'plan_reactions'],
};

/** The archiver fills objects by time as well; with a backlog they fill by bytes, and the last ones must not wait for a minute. */
const settingsOfGroup: Readonly<Partial<Record<GroupName, Readonly<Record<string, string>>>>> = {
  'parquet-archiver': { FLUSH_MAX_AGE_MS: '2000' },
};

export type MemorySample = ProgressSample & { readonly residentBytes: number };

export type GroupRun = {
  readonly perSecond: number;
  /** CPU time per record, in µs, from the first progress to the last: of the group's process, of Postgres, of Kafka. */
  readonly cpuUs: { readonly process: number; readonly postgres: number; readonly kafka: number };
  /** The most the process ever held, as the kernel counted it. */
  readonly peakBytes: number;
  readonly samples: readonly MemorySample[];
};

const pollMs = 20;
const stallMs = 120_000;

/** Empties what the groups wrote, forgets their positions and settles Postgres, so that every run starts from the same state. */
export async function resetGroups(bench: BenchStack, groups: readonly GroupName[]): Promise<void> {
  const tables = groups.flatMap((group) => tablesOfGroup[group]).map((table) => `exp.${table}`);
  await bench.pool.query(`TRUNCATE ${tables.join(', ')} CASCADE`);
  await bench.pool.query('DELETE FROM exp.consumer_offsets WHERE consumer_group = ANY ($1)', [
    groups.map(bench.groupId),
  ]);
  await bench.pool.query('CHECKPOINT');
}

export async function countTopic({ kafka, eventsTopic }: BenchStack): Promise<number> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const offsets = await admin.fetchTopicOffsets(eventsTopic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  } finally {
    await admin.disconnect();
  }
}

/** One process of the group, from the start of the topic to its end. @throws when it ends by itself or stands still. */
export async function runGroup(
  bench: BenchStack,
  group: GroupName,
  settings: Readonly<Record<string, string>> = {},
): Promise<GroupRun> {
  await resetGroups(bench, [group]);
  const records = await countTopic(bench);
  await using member = await bench.startProcess(group, { settings: { ...settingsOfGroup[group], ...settings } });
  const cpu = () => ({
    process: cpuMsOfTree(member.pid),
    postgres: cpuMsOfTree(bench.componentPid('postgres')),
    kafka: cpuMsOfTree(bench.componentPid('kafka')),
  });
  const before = { cpu: cpu(), done: await countDone(bench, group) };
  const samples = await watch(bench, group, { member, records });
  const after = cpu();
  const perRecord = (name: keyof typeof after): number =>
    ((after[name] - before.cpu[name]) * 1_000) / (records - before.done);
  return {
    perSecond: steadyRate(samples, records),
    cpuUs: { process: perRecord('process'), postgres: perRecord('postgres'), kafka: perRecord('kafka') },
    peakBytes: residentBytesOf(member.pid, 'VmHWM'),
    samples,
  };
}

async function countDone(bench: BenchStack, group: GroupName): Promise<number> {
  const found = await bench.pool.query<{ done: bigint | null }>(
    'SELECT sum(next_offset)::bigint AS done FROM exp.consumer_offsets WHERE consumer_group = $1',
    [bench.groupId(group)],
  );
  return Number(found.rows[0]?.done ?? 0n);
}

/** Samples until all records are done. */
async function watch(
  bench: BenchStack,
  group: GroupName,
  { member, records }: { member: BenchProcess; records: number },
): Promise<MemorySample[]> {
  const samples: MemorySample[] = [];
  let movedAtMs = performance.now();
  for (let lastDone = -1; ; ) {
    const done = await countDone(bench, group);
    const atMs = performance.now();
    if (done > lastDone) {
      lastDone = done;
      movedAtMs = atMs;
    }
    samples.push({ atMs, done, residentBytes: residentBytesOf(member.pid, 'VmRSS') });
    if (done >= records) return samples;
    member.assertRuns();
    if (atMs - movedAtMs > stallMs) throw new Error(`${group} has not moved for ${stallMs / 1_000} s`);
    await sleep(pollMs);
  }
}
