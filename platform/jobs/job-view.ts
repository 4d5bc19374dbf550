// A job as people see it, from what the queue keeps of it.
import type { Job } from 'bullmq';

/** What a job carries from its submission on. */
export type JobData = {
  readonly parameters: Readonly<Record<string, string>>;
  /** The parameters as they were asked for, before defaults: a repeated submission must ask for the same. */
  readonly given: Readonly<Record<string, string>>;
  readonly submittedBy: string;
  /** Tells whose submission made the job. */
  readonly submissionId: string;
  /** Set once somebody wants it to end. */
  readonly cancelled?: { readonly by: string; readonly because: string | null };
};

export type JobProgress = { readonly text: string; readonly at: string };

/**
 * waiting: until a worker is free. running: on a worker. retrying: failed, and waits before its next attempt. cancelling: its
 * program is being stopped. completed, cancelled, dead: ended; a dead job failed as often as it may and is kept with its error.
 */
export const jobStates = ['waiting', 'running', 'retrying', 'cancelling', 'completed', 'cancelled', 'dead'] as const;
export type JobState = (typeof jobStates)[number];

export const isEnded = (state: JobState): boolean => state === 'completed' || state === 'cancelled' || state === 'dead';

export type JobView = {
  readonly kind: string;
  /** Unique in its kind. */
  readonly key: string;
  readonly state: JobState;
  readonly parameters: Readonly<Record<string, string>>;
  readonly submittedBy: string;
  readonly submittedAt: string;
  /** Of the latest attempt. */
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly failedAttempts: number;
  readonly maxAttempts: number;
  readonly progress: JobProgress | null;
  /** Of the latest failed attempt; null in a job that is completed or never failed. */
  readonly error: string | null;
  /** What its program printed at its end; null before. */
  readonly result: unknown;
};

/** States of BullMQ in which our jobs can be. */
export const queueStates = ['active', 'waiting', 'delayed', 'failed', 'completed'] as const;
export type QueueState = (typeof queueStates)[number];

export function toJobState(state: QueueState, data: JobData): JobState {
  const isCancelled = data.cancelled !== undefined;
  if (state === 'completed') return 'completed';
  if (state === 'active') return isCancelled ? 'cancelling' : 'running';
  // Also while it still waits: a worker that comes to it only notes that.
  if (isCancelled) return 'cancelled';
  return state === 'failed' ? 'dead' : state === 'delayed' ? 'retrying' : 'waiting';
}

const toIso = (timeMs: number | undefined | null): string | null =>
  timeMs === undefined || timeMs === null ? null : new Date(timeMs).toISOString();

export function toJobView(kind: string, state: QueueState, job: Job<JobData>): JobView {
  const ownState = toJobState(state, job.data);
  const progress = job.progress as JobProgress | 0;
  return {
    kind,
    key: job.id!,
    state: ownState,
    parameters: job.data.parameters,
    submittedBy: job.data.submittedBy,
    submittedAt: new Date(job.timestamp).toISOString(),
    startedAt: toIso(job.processedOn),
    endedAt: isEnded(ownState) ? toIso(job.finishedOn) : null,
    // The last attempt of a completed job counts for the queue, and did not fail.
    failedAttempts: ownState === 'completed' ? job.attemptsMade - 1 : job.attemptsMade,
    maxAttempts: job.opts.attempts ?? 1,
    progress: typeof progress === 'object' ? progress : null,
    error: ownState === 'completed' ? null : (job.failedReason ?? null),
    result: ownState === 'completed' ? job.returnvalue : null,
  };
}
