// Doctor's check of the job queues: Redis answers, no job died lately, and none waits for a worker that does not come.
import { jobKindNames } from '#domain/jobs/job-kinds.ts';
import type { JobView } from '#platform/jobs/job-view.ts';
import { withQueuesAt } from '../jobs/queued-jobs.ts';
import type { DoctorCheck, Finding } from './doctor.ts';

const mostJobs = 1_000;
const deadWindowMs = 24 * 3_600_000;
/** Longer than a busy worker needs to come to the next job, and it only counts while no job runs. */
const longestWaitMs = 15 * 60_000;

const nameOf = ({ kind, key }: JobView): string => `${kind}/${key}`;

/** What jobs that are waiting, running or dead mean at a time; pure. */
export function judgeJobs(jobs: readonly JobView[], nowMs: number): Omit<Finding, 'check'>[] {
  const inState = (state: JobView['state']): JobView[] => jobs.filter((job) => job.state === state);
  const findings: Omit<Finding, 'check'>[] = [];
  const dead = inState('dead').filter(
    ({ endedAt, submittedAt }) => nowMs - Date.parse(endedAt ?? submittedAt) < deadWindowMs,
  );
  if (dead.length > 0) {
    findings.push({
      state: 'warning',
      detail: `${dead.length} died in the last 24 h: ${dead.slice(0, 3).map(nameOf).join(', ')}${dead.length > 3 ? ', …' : ''}`,
      advice: `"npm run -s ops -- jobs show ${nameOf(dead[0]!)}" says why; then correct that, and "jobs retry"`,
    });
  }
  const waiting = inState('waiting');
  const overdue = waiting.filter(({ submittedAt }) => nowMs - Date.parse(submittedAt) > longestWaitMs);
  if (overdue.length > 0 && inState('running').length === 0) {
    findings.push({
      state: 'problem',
      detail: `${overdue.length} jobs wait for more than ${longestWaitMs / 60_000} minutes, and none runs: ${nameOf(overdue.at(-1)!)} since ${overdue.at(-1)!.submittedAt}`,
      advice: 'start a job worker (workers/job-worker/README.md), or look at the log of the one that runs',
    });
  }
  if (findings.length > 0) return findings;
  return [
    { state: 'ok', detail: `none died in the last 24 h, ${waiting.length} wait, ${inState('running').length} run` },
  ];
}

export const checkJobs: DoctorCheck = {
  name: 'jobs',
  adviceWhenUnreachable:
    'check REDIS_URL and that Redis runs: jobs cannot be submitted, and workers wait until it is back',
  run: async ({ redisUrl, namespace }) => {
    if (redisUrl === undefined) return [{ state: 'ok', detail: 'REDIS_URL is not set, so no queue is looked at' }];
    return withQueuesAt({ redisUrl, namespace }, async (queues) =>
      judgeJobs(
        await queues.list({ kinds: jobKindNames, states: ['waiting', 'running', 'dead'], limit: mostJobs }),
        Date.now(),
      ),
    );
  },
};
