// Runs one consumer group as its real process over a filled topic, and watches its progress and its memory from outside.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type System, startSystem } from '#infra/system/system.ts';
import { topics } from '#schemas/topics.ts';
import type { BenchStack } from './bench-stack.ts';

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

export type MemorySample = { readonly atMs: number; readonly residentBytes: number; readonly done: number };

export type GroupRun = {
  readonly records: number;
  /** From the first progress that was seen to the last record: starting the process is not part of it. */
  readonly recordsPerSecond: number;
  /** The most the process ever held, as the kernel counted it. */
  readonly peakBytes: number;
  readonly samples: readonly MemorySample[];
};

const pollMs = 50;
const stallMs = 120_000;

/** A field of /proc/<pid>/status in bytes; 0 for a process that is not running its own program yet or has ended. */
export function residentBytesOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 0;
  }
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status);
  return Number(found?.[1] ?? 0) * 1024;
}

/** Empties what the groups wrote, forgets their positions and settles Postgres, so that every run starts from the same state. */
export async function resetGroups({ pool }: BenchStack, groups: readonly GroupName[]): Promise<void> {
  const tables = groups.flatMap((group) => tablesOfGroup[group]).map((table) => `exp.${table}`);
  await pool.query(`TRUNCATE ${tables.join(', ')} CASCADE`);
  await pool.query('DELETE FROM exp.consumer_offsets WHERE consumer_group = ANY ($1)', [groups]);
  await pool.query('CHECKPOINT');
}

export async function countTopic({ kafka }: BenchStack): Promise<number> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const offsets = await admin.fetchTopicOffsets(topics.events.name);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  } finally {
    await admin.disconnect();
  }
}

/** One process of the group, from the start of the topic to its end. */
export async function runGroup(
  bench: BenchStack,
  group: GroupName,
  options: { overrides?: Readonly<Record<string, string>>; onSystem?: (system: System) => void } = {},
): Promise<GroupRun> {
  await resetGroups(bench, [group]);
  const records = await countTopic(bench);
  const none = { 'assignment-service': 0, 'ingestion-service': 0 };
  const groups = Object.fromEntries(topics.events.groups.map((name) => [name, name === group ? 1 : 0]));
  let unexpected: string | undefined;
  // Its archive objects would be made an hour's worth at a time; a backlog fills them by bytes anyway, and the tail must not wait.
  const overrides = { ...(group === 'parquet-archiver' ? { FLUSH_MAX_AGE_MS: '2000' } : {}), ...options.overrides };
  const starting = startSystem({
    endpoints: bench.stack.endpoints,
    localDir: bench.stack.localDir,
    replicas: { ...none, ...groups },
    overrides: { [group]: overrides },
    ports: 'free',
    onUnexpectedEnd: (message) => {
      unexpected = message;
    },
  });
  const progress = async (): Promise<number> => {
    const found = await bench.pool.query<{ done: bigint | null }>(
      'SELECT sum(next_offset)::bigint AS done FROM exp.consumer_offsets WHERE consumer_group = $1',
      [group],
    );
    return Number(found.rows[0]?.done ?? 0n);
  };
  let system: System | undefined;
  void starting.then(
    (started) => {
      system = started;
    },
    () => undefined,
  );
  const samples: MemorySample[] = [];
  let first: { atMs: number; done: number } | undefined;
  let lastDone = 0;
  let movedAtMs = performance.now();
  try {
    for (;;) {
      const done = await progress();
      const atMs = performance.now();
      if (first === undefined && done > 0) first = { atMs, done };
      if (done > lastDone) {
        lastDone = done;
        movedAtMs = atMs;
      }
      const pid = system?.process(group).pid;
      if (pid !== undefined) samples.push({ atMs, residentBytes: residentBytesOf(pid, 'VmRSS'), done });
      if (done >= records) {
        await starting;
        const peakBytes = residentBytesOf(system!.process(group).pid!, 'VmHWM');
        const seconds = (atMs - first!.atMs) / 1000;
        return { records, recordsPerSecond: (done - first!.done) / seconds, peakBytes, samples };
      }
      if (unexpected !== undefined) throw new Error(unexpected);
      if (atMs - movedAtMs > stallMs) throw new Error(`${group} has not moved for ${stallMs / 1000} s`);
      await sleep(pollMs);
    }
  } finally {
    await (await starting).stop();
  }
}
