// Measures the metrics-aggregator's sink alone: prepared batches to committed rows, the time of each step, and the postgres-sink beside it.
//
// node bench/aggregator-sink.ts [--batches 20] [--batch 10000] [--units 100000] [--new] [--concurrency 1] [--repetitions 1]
//
// Wall time depends on what else runs; CPU time (this process, and the Postgres sessions it used) hardly does.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { AggregateStore } from '#consumers/metrics-aggregator/aggregate-store.ts';
import { createAggregateStore } from '#consumers/metrics-aggregator/aggregate-store-postgres.ts';
import { createExposureRules } from '#consumers/metrics-aggregator/exposure-rules.ts';
import { createKnownExposures } from '#consumers/metrics-aggregator/known-exposures.ts';
import { createMetricsAggregatorSink } from '#consumers/metrics-aggregator/sink.ts';
import { createAssignmentLookup } from '#consumers/postgres-sink/assignment-lookup.ts';
import { createPostgresSink } from '#consumers/postgres-sink/sink.ts';
import { findStack } from '#infra/local/stack-file.ts';
import type { Batch, Sink } from '#platform/kafka/sink.ts';
import { listMigrations, migrate } from '#platform/postgres/migrate.ts';
import { createPostgresPool, inTransaction, type Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

const { values: options } = parseArgs({
  options: {
    batches: { type: 'string', default: '20' },
    batch: { type: 'string', default: '10000' },
    units: { type: 'string', default: '100000' },
    concurrency: { type: 'string', default: '1' },
    repetitions: { type: 'string', default: '1' },
    /** Every event is the exposure of a unit never seen before, as in the Open Bandit workload. */
    new: { type: 'boolean', default: false },
  },
});
const batchCount = Number(options.batches);
const batchSize = Number(options.batch);
const unitCount = Number(options.units);
const concurrency = Number(options.concurrency);

const experimentId = '6f1c1c0a-6c5e-5f7e-9a44-0a5c1f6a2b10';
const variantIds = ['0b54d7a5-21f3-5c3e-8f37-5d1f2f9f8a01', '7e0c7d1c-93ab-5b55-8e0e-3b9f64f6d202'];
const startMs = Date.UTC(2026, 0, 15, 10);

let randomState = 7;
function random(): number {
  randomState = (Math.imul(randomState, 1664525) + 1013904223) >>> 0;
  return randomState / 4294967296;
}

function randomUuid(): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function createEvent(unit: number, unitId: string, timeMs: number, eventType: string): EventRecord {
  return {
    event_id: randomUuid(),
    event_type: eventType,
    unit_type: 'household',
    unit_id: unitId,
    experiments: [{ experiment_id: experimentId, variant_id: variantIds[unit % 2]! }],
    context: { country: 'NL', position: 3 },
    metrics: random() < 0.5 ? { accepted: 1 } : { accepted: random() < 0.7 ? 1 : 0, score: random() * 10 },
    payload: null,
    event_time: timeMs,
    ingest_time: timeMs + 40,
    producer: 'bench',
  };
}

function toBatch(events: readonly EventRecord[], firstOffset: bigint): Batch<EventRecord> {
  return {
    topic: 'bench',
    partition: 0,
    firstOffset,
    nextOffset: firstOffset + BigInt(events.length),
    records: events.map((value, index) => ({
      value,
      record: {
        topic: 'bench',
        partition: 0,
        offset: firstOffset + BigInt(index),
        key: null,
        value: null,
        headers: {},
        timestampMs: value.event_time,
      },
    })),
    rejected: [],
  };
}

/** `earlier`: an exposure of every unit an hour before; `measured`: the events that are timed. */
function createWorkload(): { earlier: Batch<EventRecord>[]; measured: Batch<EventRecord>[] } {
  const unitIds = Array.from({ length: unitCount }, randomUuid);
  const exposures = options.new
    ? []
    : unitIds.map((unitId, unit) => createEvent(unit, unitId, startMs - 3_600_000, 'exposure'));
  const earlier: Batch<EventRecord>[] = [];
  for (let at = 0; at < exposures.length; at += batchSize) {
    earlier.push(toBatch(exposures.slice(at, at + batchSize), BigInt(at)));
  }
  const total = batchCount * batchSize;
  const measured = Array.from({ length: batchCount }, (_, batch) => {
    const events = Array.from({ length: batchSize }, (__, index) => {
      const serial = batch * batchSize + index;
      // A batch comes from one of twelve partitions, and so do all events of a unit.
      const unit = (batch % 12) + 12 * Math.floor((random() * (unitCount - 12)) / 12);
      const timeMs = startMs + Math.floor((7_200_000 * serial) / total);
      return options.new
        ? createEvent(unit, `${unitIds[unit]!}-${serial}`, timeMs, 'exposure')
        : createEvent(unit, unitIds[unit]!, timeMs, 'plan_accepted');
    });
    return toBatch(events, BigInt(1_000_000_000 + batch * batchSize));
  });
  return { earlier, measured };
}

async function writeAll(pool: Pool, sink: Sink<EventRecord>, batches: readonly Batch<EventRecord>[]): Promise<void> {
  const queue = [...batches];
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
        const current = batch;
        await sink.prepare?.(current);
        await inTransaction(pool, (tx) => sink.write(tx, current));
        sink.committed?.(current);
      }
    }),
  );
}

/** User and system time of the sessions of a database so far, in ms; zero where there is no /proc. */
async function sessionCpuMs(admin: pg.Client, database: string): Promise<number> {
  const sessions = await admin.query<{ pid: number }>('SELECT pid FROM pg_stat_activity WHERE datname = $1', [
    database,
  ]);
  let ticks = 0;
  for (const { pid } of sessions.rows) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      return 0;
    }
  }
  return ticks * 10;
}

/** Sums up how long each step of the store takes, from the call to the answer. */
function timed(store: AggregateStore, totals: Map<string, number>): AggregateStore {
  return new Proxy(store, {
    get: (target, name: string) => {
      const step = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        const started = performance.now();
        const result = await step(...args);
        totals.set(name, (totals.get(name) ?? 0) + performance.now() - started);
        return result;
      };
    },
  });
}

const stack = findStack();
if (stack === null) throw new Error('the local stack is not running: npm run up');
const { superuserUrl } = stack.endpoints.postgres;
const admin = new pg.Client({ connectionString: superuserUrl });
await admin.connect();
const migrations = await listMigrations(fileURLToPath(new URL('../migrations', import.meta.url)));

async function measure(
  name: string,
  createSink: (pool: Pool) => { sink: Sink<EventRecord>; steps: Map<string, number> },
) {
  const database = `bench_${randomBytes(6).toString('hex')}`;
  await admin.query(`CREATE DATABASE ${database}`);
  const url = new URL(superuserUrl);
  url.pathname = `/${database}`;
  const pool = createPostgresPool({ url: url.toString(), poolSize: concurrency + 1, applicationName: 'bench' });
  try {
    await migrate(pool, migrations);
    const { earlier, measured } = createWorkload();
    const { sink, steps } = createSink(pool);
    await writeAll(pool, sink, earlier);
    await pool.query('VACUUM ANALYZE');
    steps.clear();
    const sessionBefore = await sessionCpuMs(admin, database);
    const processBefore = process.cpuUsage();
    const started = performance.now();
    await writeAll(pool, sink, measured);
    const wallMs = performance.now() - started;
    const own = process.cpuUsage(processBefore);
    const sessionMs = (await sessionCpuMs(admin, database)) - sessionBefore;
    const events = batchCount * batchSize;
    const perEvent = (ms: number): string => ((ms * 1000) / events).toFixed(2);
    console.log(
      `${name}: ${events} events, ${Math.round((events / wallMs) * 1000)} events/s; per event: wall ${perEvent(wallMs)} µs, ` +
        `CPU of Node ${perEvent((own.user + own.system) / 1000)} µs, of Postgres ${perEvent(sessionMs)} µs`,
    );
    for (const [step, ms] of [...steps].sort(([, a], [, b]) => b - a)) {
      console.log(`  ${step.padEnd(20)} ${perEvent(ms)} µs`);
    }
  } finally {
    await pool.end();
    await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
  }
}

for (let repetition = 0; repetition < Number(options.repetitions); repetition += 1) {
  await measure('metrics-aggregator', (pool) => {
    const steps = new Map<string, number>();
    const sink = createMetricsAggregatorSink({
      pool,
      store: timed(createAggregateStore({ consumerGroup: 'metrics-aggregator' }), steps),
      exposureRules: createExposureRules({ pool, now: Date.now }),
      knownExposures: createKnownExposures(200_000),
    });
    return { sink, steps };
  });
  await measure('postgres-sink', (pool) => ({
    sink: createPostgresSink({ pool, assignments: createAssignmentLookup() }),
    steps: new Map(),
  }));
}
await admin.end();
