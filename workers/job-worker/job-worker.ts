// Takes jobs from the queues, one of each kind at a time, and runs their programs; hands back what it cannot finish.
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Job, Queue, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import type { JobKind } from '#domain/jobs/job-kind.ts';
import { describeError } from '#platform/errors.ts';
import type { JobData, JobProgress } from '#platform/jobs/job-view.ts';
import type { Redis } from '#platform/redis/redis-client.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import { createJobMetrics, type JobMetrics } from './job-metrics.ts';
import { startJobProgram } from './run-program.ts';

export type JobWorkerDeps = {
  readonly redis: Redis;
  readonly prefix: string;
  readonly kinds: readonly JobKind[];
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Root of the installation, where the programs are. */
  readonly root: string;
  /** Of the programs. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
  readonly lockMs: number;
  readonly backoffMs: number;
  readonly drainMs: number;
};

/** Less than the shortest lock, so that a dead worker's program is gone before another worker begins the job again. */
const graceSeconds = 2;
const cancelPollMs = 500;
const progressIntervalMs = 1_000;
/** A job that takes its worker down with it is dead after so many workers. */
const maxStalledCount = 3;

type StopReason = 'cancelled' | 'draining' | 'lock-lost';

export type JobWorker = { readonly running: () => readonly string[] } & AsyncDisposable;

/**
 * Runs until disposed. Disposal takes no further job, lets the running ones go on for `drainMs`, then stops their programs and puts
 * the jobs back, which does not count as a failure.
 */
export function startJobWorker(deps: JobWorkerDeps): JobWorker {
  const metrics = createJobMetrics(deps.metrics);
  const active = new Map<string, (reason: StopReason) => void>();
  const workers = deps.kinds.map((kind) => startWorkerOfKind(kind, deps, metrics, active));
  const stopCounting = metrics.countQueues(
    deps.redis,
    workers.map(({ queue }) => queue),
  );
  return {
    running: () => [...active.keys()],
    [Symbol.asyncDispose]: async () => {
      const deadline = setTimeout(() => {
        for (const stop of active.values()) stop('draining');
      }, deps.drainMs);
      await Promise.all(workers.map(({ worker }) => worker.close()));
      clearTimeout(deadline);
      stopCounting();
      await Promise.all(workers.map(({ queue }) => queue.close()));
    },
  };
}

function startWorkerOfKind(
  kind: JobKind,
  deps: JobWorkerDeps,
  metrics: JobMetrics,
  active: Map<string, (reason: StopReason) => void>,
): { worker: Worker<JobData>; queue: Queue<JobData> } {
  const { log, redis, prefix } = deps;
  const queue = new Queue<JobData>(kind.name, { connection: redis, prefix });
  const worker = new Worker<JobData>(
    kind.name,
    (job, token) => runJob({ kind, job, token: token!, queue, deps, metrics, active }),
    {
      connection: redis,
      prefix,
      concurrency: 1,
      lockDuration: deps.lockMs,
      stalledInterval: deps.lockMs,
      maxStalledCount,
      settings: { backoffStrategy: (failedAttempts) => deps.backoffMs * 2 ** (failedAttempts - 1) },
    },
  );
  const warn = (error: Error): void => log.warn({ jobKind: kind.name, cause: describeError(error) }, 'queue trouble');
  worker.on('error', warn);
  queue.on('error', warn);
  worker.on('stalled', (key) =>
    log.warn({ jobKind: kind.name, jobKey: key }, 'a worker died with a job: it starts again'),
  );
  worker.on('lockRenewalFailed', (keys) => {
    for (const key of keys) active.get(nameOf(kind, key))?.('lock-lost');
  });
  worker.on('failed', (job, error) => {
    const fields = { jobKind: kind.name, jobKey: job?.id, cause: error.message };
    if (job?.finishedOn === undefined) log.warn(fields, 'job failed and will be tried again');
    else if (job.data.cancelled !== undefined) log.info(fields, 'job cancelled');
    else log.error(fields, 'job is dead');
  });
  return { worker, queue };
}

const nameOf = (kind: JobKind, key: string): string => `${kind.name}/${key}`;

async function runJob(context: {
  kind: JobKind;
  job: Job<JobData>;
  token: string;
  queue: Queue<JobData>;
  deps: JobWorkerDeps;
  metrics: JobMetrics;
  active: Map<string, (reason: StopReason) => void>;
}): Promise<unknown> {
  const { kind, job, token, queue, deps, metrics, active } = context;
  const key = job.id!;
  const name = nameOf(kind, key);
  const fields = { jobKind: kind.name, jobKey: key };
  refuseCancelled(job.data);
  const folder = join(deps.folder, `${kind.name}-${key}`);
  const resume = kind.checkpoint !== undefined && existsSync(join(folder, kind.checkpoint));
  await mkdir(folder, { recursive: true });
  const { entry, args, settings } = kind.program({ key, parameters: job.data.parameters, folder, resume });
  const progress = createProgressWriter(job);
  deps.log.info(fields, 'job started');
  const end = metrics.begin(kind.name);
  const program = startJobProgram({
    file: join(deps.root, entry),
    args,
    cwd: deps.root,
    environment: { ...deps.environment, ...settings, OPS_ACTOR: `${job.data.submittedBy} (job ${name})` },
    graceSeconds,
    onLine: progress.write,
  });
  let reason: StopReason | undefined;
  active.set(name, (because) => {
    reason ??= because;
    program.stop();
  });
  const stopWatching = watchForCancellation(queue, key, deps.log, () => active.get(name)?.('cancelled'));
  try {
    const outcome = await program.outcome;
    await progress.flush();
    if (outcome.kind === 'succeeded') {
      await rm(folder, { recursive: true, force: true });
      deps.log.info(fields, 'job completed');
      end('completed');
      return outcome.result ?? null;
    }
    if (reason === 'cancelled') {
      end('cancelled');
      await rm(folder, { recursive: true, force: true });
      refuseCancelled((await queue.getJob(key))?.data ?? job.data);
    }
    if (reason === 'draining') {
      end('handed-back');
      deps.log.info(fields, 'job handed back');
      await job.moveToWait(token);
      throw new WaitingError();
    }
    end('failed');
    const error = outcome.kind === 'failed' ? outcome.error : 'the worker lost its hold on the job';
    throw outcome.kind === 'failed' && outcome.isFinal ? new UnrecoverableError(error) : new Error(error);
  } finally {
    stopWatching();
    active.delete(name);
  }
}

/** @throws UnrecoverableError that says who cancelled it. */
function refuseCancelled({ cancelled }: JobData): void {
  if (cancelled === undefined) return;
  throw new UnrecoverableError(
    `cancelled by ${cancelled.by}${cancelled.because === null ? '' : `: ${cancelled.because}`}`,
  );
}

function watchForCancellation(queue: Queue<JobData>, key: string, log: Logger, onCancelled: () => void): () => void {
  let isLooking = false;
  const timer = setInterval(() => {
    // While Redis is away a look waits: no second one then.
    if (isLooking) return;
    isLooking = true;
    queue
      .getJob(key)
      .then((found) => {
        if (found?.data.cancelled !== undefined) onCancelled();
      })
      .catch((error: unknown) => log.warn({ jobKey: key, cause: describeError(error) }, 'cancellation not looked up'))
      .finally(() => {
        isLooking = false;
      });
  }, cancelPollMs);
  return () => clearInterval(timer);
}

/** Keeps every line in the job's log, and the latest one as its progress, at most once a second. */
function createProgressWriter(job: Job<JobData>): { write: (line: string) => void; flush: () => Promise<void> } {
  let written: Promise<unknown> = Promise.resolve();
  let lastProgressMs = Number.NEGATIVE_INFINITY;
  return {
    write: (line) => {
      const now = Date.now();
      const isDue = now - lastProgressMs >= progressIntervalMs;
      if (isDue) lastProgressMs = now;
      written = written
        .then(async () => {
          await job.log(line);
          const progress: JobProgress = { text: line, at: new Date(now).toISOString() };
          if (isDue) await job.updateProgress(progress);
        })
        // Progress is for people to look at: a job does not fail for it.
        .catch(() => undefined);
    },
    flush: async () => void (await written),
  };
}
