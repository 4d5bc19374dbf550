// What commands do with jobs: open the queues, submit with checked parameters, follow one to its end.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createJobKey, isJobKey, type JobKind, jobKeyExpectation, parseJobParameters } from '#domain/jobs/job-kind.ts';
import { findJobKind, jobKindNames } from '#domain/jobs/job-kinds.ts';
import type { SettingsOf } from '#platform/config/settings.ts';
import { FatalError } from '#platform/errors.ts';
import { createJobQueues, type JobQueues, queuePrefix } from '#platform/jobs/job-queues.ts';
import { isEnded, type JobView } from '#platform/jobs/job-view.ts';
import { connectRedis } from '#platform/redis/redis-client.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { jobsConfig } from './jobs-config.ts';

/** @throws RetryableError when Redis cannot be used. */
export async function withJobQueues<T>(line: CommandLine, work: (queues: JobQueues) => Promise<T>): Promise<T> {
  return withQueuesAt(line.settingsOf(jobsConfig), work);
}

/** @throws RetryableError when Redis cannot be used. */
export async function withQueuesAt<T>(
  { redisUrl, namespace }: SettingsOf<(typeof jobsConfig)['shape']>,
  work: (queues: JobQueues) => Promise<T>,
): Promise<T> {
  const redis = await connectRedis({ url: redisUrl, clientName: 'ops' });
  try {
    await using queues = createJobQueues({ redis, prefix: queuePrefix(namespace), kinds: jobKindNames });
    return await work(queues);
  } finally {
    redis.disconnect();
  }
}

export function getJobKind(name: string): JobKind {
  const kind = findJobKind(name);
  if (kind === null)
    throw new FatalError(`there is no kind of job ${name}: known are ${jobKindNames.join(', ')}`, {
      code: 'config-invalid',
    });
  return kind;
}

/** `kind/key`, as listings show it. @throws FatalError that says what was expected. */
export function parseJobName(text: string): { kind: string; key: string } {
  const [kind = '', key = '', ...rest] = text.split('/');
  if (!isJobKey(key) || rest.length > 0)
    throw new FatalError(`${JSON.stringify(text)} is no job: expected kind/key, such as ${jobKindNames[0]}/daily`, {
      code: 'config-invalid',
    });
  return { kind: getJobKind(kind).name, key };
}

/** Idempotent with a key; without one it is a job of its own. @throws FatalError when a parameter or the key is wrong. */
export async function submitJob(
  queues: JobQueues,
  request: { kind: string; given: Readonly<Record<string, string>>; key: string | undefined; actor: string },
): Promise<{ job: JobView; isNew: boolean }> {
  const kind = getJobKind(request.kind);
  const now = new Date();
  const key = request.key ?? createJobKey(now, randomBytes(2).toString('hex'));
  if (!isJobKey(key))
    throw new FatalError(`${JSON.stringify(key)} is no key: expected ${jobKeyExpectation}`, { code: 'config-invalid' });
  const parsed = parseJobParameters(kind, request.given);
  if (!parsed.ok) {
    const lines = parsed.problems.map(
      ({ name, received, expected }) => `  ${name}: received ${received}; expected ${expected}`,
    );
    throw new FatalError(`nothing was submitted, wrong parameters of ${kind.name}:\n${lines.join('\n')}`, {
      code: 'config-invalid',
    });
  }
  return queues.submit(kind.name, {
    key,
    given: parsed.parameters,
    parameters: { ...kind.defaults(now), ...parsed.parameters },
    submittedBy: request.actor,
    attempts: kind.attempts,
  });
}

const pollMs = 500;

/** Tells each change of state and progress until the job has ended. */
export async function followJob(
  queues: JobQueues,
  { kind, key }: Pick<JobView, 'kind' | 'key'>,
  note: (text: string) => void,
): Promise<JobView> {
  let told = '';
  for (;;) {
    const job = await queues.find(kind, key);
    if (job === null) throw new FatalError(`the job ${kind}/${key} is gone`, { code: 'unexpected' });
    const text = job.progress === null || isEnded(job.state) ? job.state : `${job.state}: ${job.progress.text}`;
    if (text !== told) note(`${kind}/${key} ${text}`);
    told = text;
    if (isEnded(job.state)) return job;
    await sleep(pollMs);
  }
}
