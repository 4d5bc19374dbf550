// The queues of asynchronous jobs in Redis, one per kind: submit by key, look, cancel, retry.
import { randomUUID } from 'node:crypto';
import { type Job, Queue } from 'bullmq';
import { FatalError } from '#platform/errors.ts';
import type { Redis } from '#platform/redis/redis-client.ts';
import {
  isEnded,
  type JobData,
  type JobState,
  type JobView,
  type QueueState,
  queueStates,
  toJobView,
} from './job-view.ts';

export type Submission = {
  readonly key: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly given: Readonly<Record<string, string>>;
  readonly submittedBy: string;
  /** How often it may fail before it is dead. */
  readonly attempts: number;
};

export type JobQueues = AsyncDisposable & {
  /**
   * Idempotent by kind and key: a second submission finds the job of the first one, in whatever state it is.
   * @throws FatalError when that job was asked for with other parameters.
   */
  submit(kind: string, submission: Submission): Promise<{ job: JobView; isNew: boolean }>;
  /** The newest first. */
  list(options: { kinds: readonly string[]; states: readonly JobState[]; limit: number }): Promise<JobView[]>;
  find(kind: string, key: string): Promise<JobView | null>;
  /** @throws FatalError when there is none. */
  get(kind: string, key: string): Promise<JobView>;
  /** The latest lines that its program wrote about its progress. */
  readLog(kind: string, key: string): Promise<string[]>;
  /** Stops its program, or keeps it from starting. @throws FatalError when there is no such job or it has ended. */
  cancel(kind: string, key: string, request: { by: string; because: string | null }): Promise<JobView>;
  /** Gives a dead or cancelled job all of its attempts again. @throws FatalError when it is neither. */
  retry(kind: string, key: string): Promise<JobView>;
};

const daySeconds = 86_400;
/** Ended jobs stay so long, so that their keys still stop a repetition and their errors can be read. */
export const keptCompleted = { age: 30 * daySeconds, count: 5_000 } as const;
export const keptFailed = { age: 180 * daySeconds } as const;
const keptLogLines = 500;

/** Prefix of all keys in Redis. */
export const queuePrefix = (namespace: string | undefined): string => `${namespace ?? 'trialstream'}/jobs`;

/** `redis` stays the caller's to close. */
export function createJobQueues(options: { redis: Redis; prefix: string; kinds: readonly string[] }): JobQueues {
  const queues = new Map(
    options.kinds.map((kind) => {
      const queue = new Queue<JobData>(kind, { connection: options.redis, prefix: options.prefix });
      // Every command says itself that it failed; without a listener the event would end the process.
      queue.on('error', () => undefined);
      return [kind, queue];
    }),
  );
  const queueOf = (kind: string): Queue<JobData> => {
    const queue = queues.get(kind);
    if (queue === undefined) throw new FatalError(`there is no kind of job ${kind}`, { code: 'config-invalid' });
    return queue;
  };
  const findWithState = async (kind: string, key: string): Promise<[Job<JobData>, JobView] | null> => {
    const queue = queueOf(kind);
    // A job and its state are two reads, and a worker may move the job between them. The state read before and
    // after it tells; else a job would be shown as completed with the attempts and the result of before.
    let state = await queue.getJobState(key);
    while (true) {
      const job = (await queue.getJob(key)) as Job<JobData> | undefined;
      if (job === undefined) return null;
      const stateBefore = state;
      state = await queue.getJobState(key);
      if (!queueStates.includes(state as QueueState)) return null;
      if (state === stateBefore) return [job, toJobView(kind, state as QueueState, job)];
    }
  };
  const get = async (kind: string, key: string): Promise<[Job<JobData>, JobView]> => {
    const found = await findWithState(kind, key);
    if (found === null) throw new FatalError(`there is no job ${kind}/${key}`, { code: 'config-invalid' });
    return found;
  };
  const refuse = ({ kind, key, state }: JobView, what: string): never => {
    throw new FatalError(`the job ${kind}/${key} is ${state}: ${what}`, { code: 'config-invalid' });
  };

  return {
    submit: async (kind, { key, attempts, ...data }) => {
      const submissionId = randomUUID();
      // Adding under an id that is there changes nothing, also when two do it at once.
      await queueOf(kind).add(
        kind,
        { ...data, submissionId },
        {
          jobId: key,
          attempts,
          backoff: { type: 'custom' },
          removeOnComplete: keptCompleted,
          removeOnFail: keptFailed,
          keepLogs: keptLogLines,
        },
      );
      const [job, view] = await get(kind, key);
      if (toSortedJson(job.data.given) !== toSortedJson(data.given)) {
        throw new FatalError(
          `the job ${kind}/${key} is there and was asked for with other parameters, ${toSortedJson(job.data.given)}: give another key`,
          { code: 'config-invalid' },
        );
      }
      return { job: view, isNew: job.data.submissionId === submissionId };
    },
    list: async ({ kinds, states, limit }) => {
      const listed = await Promise.all(
        kinds.flatMap((kind) =>
          queueStates.map(async (state) => {
            const jobs = (await queueOf(kind).getJobs([state], 0, limit - 1)) as (Job<JobData> | undefined)[];
            // One that ended between two commands may be gone.
            return jobs.filter((job) => job !== undefined).map((job) => toJobView(kind, state, job));
          }),
        ),
      );
      const newest = listed
        .flat()
        .filter(({ state }) => states.includes(state))
        .sort((a, b) => (a.submittedAt < b.submittedAt ? 1 : -1));
      // One that moves meanwhile is listed under two states, each with what was read at another time.
      const names = new Map(newest.map(({ kind, key }) => [`${kind}/${key}`, { kind, key }]));
      const found = await Promise.all(
        [...names.values()].slice(0, limit).map(({ kind, key }) => findWithState(kind, key)),
      );
      return found.flatMap((pair) => (pair !== null && states.includes(pair[1].state) ? [pair[1]] : []));
    },
    find: async (kind, key) => (await findWithState(kind, key))?.[1] ?? null,
    get: async (kind, key) => (await get(kind, key))[1],
    readLog: async (kind, key) => (await queueOf(kind).getJobLogs(key)).logs,
    cancel: async (kind, key, request) => {
      const [job, view] = await get(kind, key);
      if (view.state === 'cancelled' || view.state === 'cancelling') return view;
      if (isEnded(view.state)) refuse(view, 'there is nothing to cancel');
      await job.updateData({ ...job.data, cancelled: request });
      // What waits for its next attempt shall not wait to be told.
      if (view.state === 'retrying') await job.promote().catch(() => undefined);
      return (await get(kind, key))[1];
    },
    retry: async (kind, key) => {
      const [job, view] = await get(kind, key);
      if (view.state !== 'dead' && view.state !== 'cancelled') refuse(view, 'only a dead or cancelled job is retried');
      const { cancelled: _cleared, ...data } = job.data;
      await job.updateData(data);
      if ((await job.getState()) === 'failed')
        await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
      return (await get(kind, key))[1];
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
}

const toSortedJson = (values: Readonly<Record<string, string>>): string =>
  JSON.stringify(Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))));
