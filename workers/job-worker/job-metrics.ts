// Metrics of jobs: attempts by outcome and duration, what runs, and what is in the queues.
import type { Queue } from 'bullmq';
import type { JobData } from '#platform/jobs/job-view.ts';
import type { Redis } from '#platform/redis/redis-client.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';

export type AttemptOutcome = 'completed' | 'failed' | 'cancelled' | 'handed-back';

export type JobMetrics = {
  /** Begins an attempt; the answer ends it. */
  begin(kind: string): (outcome: AttemptOutcome) => void;
  /** Looks at the queues every few seconds until the answer is called. */
  countQueues(redis: Redis, queues: readonly Queue<JobData>[]): () => void;
};

const durationBucketsSeconds = [0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];
const countIntervalMs = 5_000;
/** Words of the queue, and ours for the label. What failed for the queue is dead or cancelled. */
const countedStates = { waiting: 'waiting', active: 'running', delayed: 'retrying' } as const;

export function createJobMetrics(metrics: Metrics): JobMetrics {
  const attempts = metrics.counter('job_attempts_total', 'Attempts at jobs, by outcome', ['kind', 'outcome']);
  const running = metrics.gauge('job_running_programs', 'Programs of jobs that run on this worker', ['kind']);
  const duration = metrics.histogram(
    'job_attempt_duration_seconds',
    'One attempt at a job',
    ['kind'],
    durationBucketsSeconds,
  );
  const queued = metrics.gauge('job_queue_jobs', 'Jobs in the queue, by state, without the completed ones', [
    'kind',
    'state',
  ]);

  return {
    begin: (kind) => {
      const beganAt = performance.now();
      running.inc({ kind });
      return (outcome) => {
        running.dec({ kind });
        attempts.inc({ kind, outcome });
        duration.observe({ kind }, (performance.now() - beganAt) / 1_000);
      };
    },
    countQueues: (redis, queues) => {
      let isCounting = false;
      const countersOfEnded = queues.map((queue) => createEndedCounter(redis, queue));
      const count = async (): Promise<void> => {
        if (isCounting) return;
        isCounting = true;
        try {
          for (const [index, queue] of queues.entries()) {
            const counts = await queue.getJobCounts(...(Object.keys(countedStates) as (keyof typeof countedStates)[]));
            for (const [state, label] of Object.entries(countedStates))
              queued.set({ kind: queue.name, state: label }, counts[state] ?? 0);
            const { dead, cancelled } = await countersOfEnded[index]!();
            queued.set({ kind: queue.name, state: 'dead' }, dead);
            queued.set({ kind: queue.name, state: 'cancelled' }, cancelled);
          }
        } catch {
          // Redis went away: readiness and the log tell that.
        } finally {
          isCounting = false;
        }
      };
      void count();
      const timer = setInterval(() => void count(), countIntervalMs);
      return () => clearInterval(timer);
    },
  };
}

/**
 * Counts the jobs that failed for the queue. Only their own data say which of them were cancelled, so each is read once: it changes
 * no more, and one that is retried and ends again has another time.
 */
function createEndedCounter(redis: Redis, queue: Queue<JobData>): () => Promise<{ dead: number; cancelled: number }> {
  let isCancelledByEnd = new Map<string, boolean>();
  return async () => {
    const keysAndTimes = await redis.zrange(queue.toKey('failed'), '0', '-1', 'WITHSCORES');
    const seen = new Map<string, boolean>();
    for (let at = 0; at < keysAndTimes.length; at += 2) {
      const key = keysAndTimes[at]!;
      const end = `${keysAndTimes[at + 1]} ${key}`;
      seen.set(end, isCancelledByEnd.get(end) ?? (await queue.getJob(key))?.data.cancelled !== undefined);
    }
    isCancelledByEnd = seen;
    const cancelled = [...seen.values()].filter((isCancelled) => isCancelled).length;
    return { dead: seen.size - cancelled, cancelled };
  };
}
