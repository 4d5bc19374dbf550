// Tests of what doctor makes of the jobs in the queues.
import { expect, it } from 'vitest';
import type { JobView } from '#platform/jobs/job-view.ts';
import { judgeJobs } from './doctor-job-checks.ts';

const now = Date.UTC(2026, 0, 5, 12);
const job = (state: JobView['state'], minutesAgo: number): JobView => {
  const at = new Date(now - minutesAgo * 60_000).toISOString();
  const isOver = state === 'dead';
  return {
    ...{ kind: 'upkeep', key: `${state}-${minutesAgo}`, state, parameters: {}, submittedBy: 'tester', submittedAt: at },
    ...{ startedAt: null, endedAt: isOver ? at : null, failedAttempts: 0, maxAttempts: 5 },
    ...{ progress: null, error: null, result: null },
  };
};
const states = (jobs: readonly JobView[]): string[] => judgeJobs(jobs, now).map(({ state }) => state);

it('is content with jobs that have just been submitted, that run, or that died long ago', () => {
  expect(judgeJobs([], now)).toEqual([{ state: 'ok', detail: 'none died in the last 24 h, 0 wait, 0 run' }]);
  expect(states([job('waiting', 14), job('dead', 24 * 60 + 1)])).toEqual(['ok']);
});

it('names jobs that died, and jobs that wait while nobody works', () => {
  expect(judgeJobs([job('dead', 60)], now)).toMatchObject([
    {
      state: 'warning',
      detail: expect.stringContaining('upkeep/dead-60'),
      advice: expect.stringContaining('jobs show'),
    },
  ]);
  expect(judgeJobs([job('waiting', 2), job('waiting', 20)], now)).toMatchObject([
    { state: 'problem', detail: expect.stringContaining('upkeep/waiting-20 since 2026-01-05T11:40:00.000Z') },
  ]);
  expect(states([job('waiting', 20), job('running', 30)]), 'a worker is busy').toEqual(['ok']);
});
