// The loop of the guardrail monitor: one process leads, looks at every watched experiment, and stops those with a broken guardrail.
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '#platform/errors.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import { trySessionLock } from '#platform/postgres/session-lock.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import { listDefinitions } from '#producers/definition-store/definition-rows.ts';
import { stopExperiment } from './act.ts';
import { findViolation, isWatched } from './find-violation.ts';
import type { InputLag } from './input-lag.ts';

/** The space of our relays, and a number of its own. */
const lock = [7_160_020, 100] as const;
/** A look may take this share of the time at most, so that a large experiment does not keep a core busy. */
const restPerWork = 2;

export type MonitorState = {
  readonly role: 'waiting' | 'leading';
  /** Why guardrails rest; null while they are watched. */
  readonly idleReason: string | null;
  readonly lastLookMs: number | null;
};

export type GuardrailMonitor = { state(): MonitorState; [Symbol.asyncDispose](): Promise<void> };

export type MonitorDeps = {
  pool: Pool;
  log: Logger;
  metrics: Metrics;
  /** Shown in exp.guardrail_lease. */
  owner: string;
  intervalMs: number;
  inputLag: InputLag;
  /** Ends of the events topic by partition; rejects while Kafka is away. */
  readEnds(): Promise<ReadonlyMap<number, bigint>>;
  /** As in exp.consumer_offsets: group and topic with their namespace. */
  group: { readonly groupId: string; readonly topic: string };
  nowMs: () => number;
};

/**
 * Runs until disposed. States: *waiting* (another process leads, or Postgres is away), *leading* (this session holds the advisory lock
 * and its epoch is in exp.guardrail_lease). While leading it rests when the input is behind, a pause of the group among it.
 */
export function startGuardrailMonitor(deps: MonitorDeps): GuardrailMonitor {
  const { pool, log } = deps;
  const stop = new AbortController();
  const looks = deps.metrics.counter('guardrail_looks_total', 'Looks at an experiment, by outcome', ['outcome']);
  const duration = deps.metrics.histogram('guardrail_look_duration_seconds', 'One look at one experiment');
  const leading = deps.metrics.gauge('guardrail_leading', '1 while this process is the monitor');
  const idle = deps.metrics.gauge('guardrail_idle', '1 while the monitor rests because its input is not current');
  let state: MonitorState = { role: 'waiting', idleReason: null, lastLookMs: null };
  /** When each experiment may be looked at again, and at which version and input it was looked at last. */
  const looked = new Map<string, { dueMs: number; seen: string }>();

  const rest = (ms: number): Promise<unknown> => sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined);

  const readInput = async (): Promise<{ idleReason: string | null; fingerprint: string }> => {
    const { rows } = await pool.query<{ kafka_partition: number; next_offset: bigint; is_paused: boolean }>(
      `SELECT kafka_partition, next_offset, paused_at IS NOT NULL AS is_paused FROM exp.consumer_offsets
       WHERE consumer_group = $1 AND topic = $2`,
      [deps.group.groupId, deps.group.topic],
    );
    const fingerprint = rows
      .map((row) => `${row.kafka_partition}:${row.next_offset}`)
      .sort()
      .join(' ');
    if (rows.some(({ is_paused }) => is_paused)) return { idleReason: 'metrics-aggregator is paused', fingerprint };
    // After the positions: the group can only have come nearer to the end meanwhile.
    const ends = await deps.readEnds();
    const positions = new Map(rows.map((row) => [row.kafka_partition, row.next_offset]));
    const input = deps.inputLag.observe(ends, positions);
    return { idleReason: input.state === 'current' ? null : input.reason, fingerprint };
  };

  const look = async (experimentId: string, epoch: bigint): Promise<void> => {
    const beganMs = deps.nowMs();
    const violation = await findViolation(pool, experimentId);
    duration.observe({}, (deps.nowMs() - beganMs) / 1_000);
    if (violation === null) {
      looks.inc({ outcome: 'kept' });
      return;
    }
    const outcome = await stopExperiment(pool, violation, epoch);
    looks.inc({ outcome });
    const { experimentKey } = violation.experiment;
    if (outcome === 'stopped')
      log.error({ experimentKey, metric: violation.metric }, 'a broken guardrail stopped the experiment');
    else log.info({ experimentKey, outcome }, 'a broken guardrail was not acted on');
  };

  /** Ramps wait while guardrails rest, or when nothing was written here for a while. */
  const tellRamps = (epoch: bigint, idleReason: string | null): Promise<unknown> =>
    pool.query('UPDATE exp.guardrail_lease SET looked_at = clock_timestamp(), idle_reason = $2 WHERE epoch = $1', [
      epoch,
      idleReason,
    ]);

  const lookAtAll = async (epoch: bigint): Promise<void> => {
    const { idleReason, fingerprint } = await readInput();
    await tellRamps(epoch, idleReason);
    if (idleReason !== state.idleReason)
      log.info({ idleReason }, idleReason === null ? 'guardrails are watched' : 'guardrails rest');
    state = { ...state, idleReason };
    idle.set({}, idleReason === null ? 0 : 1);
    if (idleReason !== null) return;
    const latched = await pool.query<{ experiment_id: string }>(
      'SELECT experiment_id FROM exp.guardrail_actions WHERE cleared_at IS NULL',
    );
    const left = new Set(latched.rows.map(({ experiment_id }) => experiment_id));
    for (const { experiment } of await listDefinitions(pool)) {
      if (stop.signal.aborted) return;
      const { experimentId, version } = experiment;
      if (!isWatched(experiment) || left.has(experimentId)) continue;
      const before = looked.get(experimentId);
      const seen = `${version} ${fingerprint}`;
      // Nothing new arrived and nothing was changed: the answer would be the same.
      if (before !== undefined && (before.dueMs > deps.nowMs() || before.seen === seen)) continue;
      const beganMs = deps.nowMs();
      await look(experimentId, epoch);
      const tookMs = deps.nowMs() - beganMs;
      looked.set(experimentId, { dueMs: deps.nowMs() + Math.max(deps.intervalMs / 2, restPerWork * tookMs), seen });
    }
    state = { ...state, lastLookMs: deps.nowMs() };
  };

  const advanceEpoch = async (connection: PoolClient): Promise<bigint> => {
    const { rows } = await connection.query<{ epoch: bigint }>(
      'UPDATE exp.guardrail_lease SET epoch = epoch + 1, owner = $1, updated_at = now() RETURNING epoch',
      [deps.owner],
    );
    return rows[0]!.epoch;
  };

  const tryToLead = async (): Promise<void> => {
    await trySessionLock(pool, lock, async (connection) => {
      const epoch = await advanceEpoch(connection);
      log.info({ epoch: String(epoch) }, 'this process is the guardrail monitor');
      state = { ...state, role: 'leading' };
      leading.set({}, 1);
      try {
        while (!stop.signal.aborted) {
          // On the connection that holds the lock: it fails when the lock is lost.
          await connection.query('SELECT 1');
          await lookAtAll(epoch);
          await rest(deps.intervalMs);
        }
      } finally {
        state = { ...state, role: 'waiting' };
        leading.set({}, 0);
      }
    });
  };

  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await tryToLead();
      } catch (error) {
        looks.inc({ outcome: 'failed' });
        log.warn({ cause: describeError(error) }, 'the guardrail monitor starts over');
      }
      await rest(deps.intervalMs);
    }
  };
  const running = run();

  return {
    state: () => state,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
