// Metrics of jobs: attempts by outcome and duration, what runs, and what is in the queues.
import type { Queue } from 'bullmq';
import type { JobData } from '#platform/jobs/job-view.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';

export type AttemptOutcome = 'completed' | 'failed' | 'cancelled' | 'handed-back';

export type JobMetrics = {
  /** Begins an attempt; the answer ends it. */
  begin(kind: string): (outcome: AttemptOutcome) => void;
  /** Looks at the queues every few seconds until the answer is called. */
  countQueues(queues: readonly Queue<JobData>[]): () => void;
};

const durationBucketsSeconds = [0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];
const countIntervalMs = 5_000;
/** Words of the queue, and ours for the label. */
const countedStates = { waiting: 'waiting', active: 'running', delayed: 'retrying', failed: 'dead' } as const;

export function createJobMetrics(metrics: Metrics): JobMetrics {
  const attempts = metrics.counter('job_attempts_total', 'Attempts at jobs, by outcome', ['kind', 'outcome']);
  const running = metrics.gauge('job_running_programs', 'Programs of jobs that run on this worker', ['kind']);
  const duration = metrics.histogram(
    'job_attempt_duration_seconds',
    'One attempt at a job',
    ['kind'],
    durationBucketsSeconds,
  );
  const queued = metrics.gauge('job_queue_jobs', 'Jobs in the queue, by state; cancelled ones count as dead', [
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
    countQueues: (queues) => {
      let isCounting = false;
      const count = async (): Promise<void> => {
        if (isCounting) return;
        isCounting = true;
        try {
          for (const queue of queues) {
            const counts = await queue.getJobCounts(...(Object.keys(countedStates) as (keyof typeof countedStates)[]));
            for (const [state, label] of Object.entries(countedStates))
              queued.set({ kind: queue.name, state: label }, counts[state] ?? 0);
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
