// `--queue` of commands that can also be jobs: submits the work instead of doing it.
import type { Command } from 'commander';
import { FatalError } from '#platform/errors.ts';
import type { JobView } from '#platform/jobs/job-view.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { toJson } from '../command-line/output.ts';
import { followJob, submitJob, withJobQueues } from './queued-jobs.ts';

export type QueueOptions = { queue: boolean; key?: string; wait: boolean };

export function addQueueOptions(command: Command): Command {
  return command
    .option('--queue', 'let a job worker do it', false)
    .option('--key <key>', 'with --queue: a second submission with the same key finds the job of the first one')
    .option('--wait', 'with --queue: until the job has ended', false);
}

/** Submits a job and says so, or what became of it with `wait`. */
export async function submitAndReport(
  line: CommandLine,
  request: { kind: string; given: Readonly<Record<string, string>>; key: string | undefined },
  { wait, json }: { wait: boolean; json: boolean },
): Promise<void> {
  await withJobQueues(line, async (queues) => {
    const submitted = await submitJob(queues, { ...request, actor: line.actor });
    const job = wait ? await followJob(queues, submitted.job, line.note) : submitted.job;
    line.print(json ? toJson({ isNew: submitted.isNew, ...job }) : describeSubmission(job, submitted.isNew));
    if (wait && job.state !== 'completed') line.reportProblems();
  });
}

function describeSubmission(job: JobView, isNew: boolean): string {
  const name = `${job.kind}/${job.key}`;
  const first = isNew ? `job ${name} is submitted: ${job.state}` : `job ${name} was there already: ${job.state}`;
  if (job.state === 'completed') return `${first}\n${toJson(job.result)}`;
  if (job.state === 'dead' || job.state === 'cancelled')
    return `${first}: ${job.error ?? ''}\ngive it another chance with: jobs retry ${name}`;
  return `${first}\nsee it with: jobs show ${name}`;
}

/** @throws FatalError when options that only matter with --queue are given without it. */
export function refuseQueueOptions({ queue, key, wait }: QueueOptions): void {
  if (!queue && (key !== undefined || wait))
    throw new FatalError('--key and --wait go with --queue', { code: 'config-invalid' });
}
