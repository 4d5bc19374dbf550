// `ops jobs kinds | submit | list | show | cancel | retry`.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { jobKindNames, jobKinds } from '#domain/jobs/job-kinds.ts';
import { type JobState, type JobView, jobStates } from '#platform/jobs/job-view.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parsePositiveInteger, parseReason } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { submitAndReport } from './queue-option.ts';
import { getJobKind, parseJobName, withJobQueues } from './queued-jobs.ts';

type ListOptions = { kind?: string; state?: JobState; limit: number; json: boolean };
type Parameters = Readonly<Record<string, string>>;

const longestLine = 80;
const firstLine = (text: string): string => {
  const line = text.split('\n')[0]!;
  return line.length > longestLine ? `${line.slice(0, longestLine - 1)}…` : line;
};

function addParameter(text: string, earlier: Parameters): Parameters {
  const at = text.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError('expected name=value');
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}

const describeParameters = (parameters: Parameters): string =>
  Object.entries(parameters)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');

function formatJob(job: JobView, log: readonly string[]): string {
  const rows: [string, string | null][] = [
    ['state', job.state],
    ['parameters', describeParameters(job.parameters)],
    ['submitted', `${job.submittedAt} by ${job.submittedBy}`],
    ['started', job.startedAt],
    ['ended', job.endedAt],
    ['failed attempts', `${job.failedAttempts} of ${job.maxAttempts}`],
    ['progress', job.progress === null ? null : `${job.progress.text} (${job.progress.at})`],
    ['result', job.result === null ? null : toJson(job.result)],
  ];
  return [
    `job ${job.kind}/${job.key}`,
    formatTable(['', ''], rows).split('\n').slice(1).join('\n'),
    ...(job.error === null ? [] : ['', 'error of the latest attempt:', job.error]),
    ...(log.length === 0 ? [] : ['', 'what its program said:', ...log]),
  ].join('\n');
}

export function addJobCommands(program: Command, line: CommandLine): void {
  const { print } = line;
  const jobs = program.command('jobs').description('asynchronous jobs: a queue in Redis, done by job workers');

  jobs
    .command('kinds')
    .description('kinds of jobs and their parameters')
    .option('--json', 'one JSON object', false)
    .action(({ json }: { json: boolean }) => {
      const kinds = jobKinds.map(({ name, title, attempts, parameters }) => ({
        name,
        title,
        attempts,
        parameters: Object.entries(parameters).map(([parameter, { description, required, expected }]) => ({
          name: parameter,
          description,
          required,
          expected,
        })),
      }));
      if (json) return print(toJson({ kinds }));
      const texts = kinds.map(({ name, title, parameters }) =>
        [
          `${name}: ${title}`,
          ...parameters.map((p) => `  ${p.name}${p.required ? ' (required)' : ''}: ${p.description}`),
        ].join('\n'),
      );
      print(texts.join('\n'));
    });

  jobs
    .command('submit')
    .description('submit a job; with a key, a second time changes nothing')
    .argument('<kind>', `one of ${jobKindNames.join(', ')}`)
    .addOption(
      new Option('--param <name=value>', 'a parameter of the kind, repeatable')
        .argParser(addParameter)
        .default({}, 'none'),
    )
    .option('--key <key>', 'name of the job in its kind (default: a new one)')
    .option('--wait', 'until the job has ended; exit code 1 when it is dead or cancelled', false)
    .option('--json', 'one JSON object', false)
    .action(async (kind: string, options: { param: Parameters; key?: string; wait: boolean; json: boolean }) => {
      await submitAndReport(line, { kind: getJobKind(kind).name, given: options.param, key: options.key }, options);
    });

  jobs
    .command('list')
    .description('jobs, the newest first')
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(jobKindNames))
    .addOption(new Option('--state <state>', 'only in this state').choices(jobStates))
    .option('--limit <count>', 'most jobs shown', parsePositiveInteger, 50)
    .option('--json', 'one JSON object', false)
    .action(({ kind, state, limit, json }: ListOptions) =>
      withJobQueues(line, async (queues) => {
        const found = await queues.list({
          kinds: kind === undefined ? jobKindNames : [kind],
          states: state === undefined ? jobStates : [state],
          limit,
        });
        if (json) return print(toJson({ jobs: found }));
        if (found.length === 0) return print('there are no such jobs');
        const rows = found.map((job) => [
          `${job.kind}/${job.key}`,
          job.state,
          job.submittedAt,
          job.submittedBy,
          `${job.failedAttempts} of ${job.maxAttempts}`,
          firstLine(job.error ?? job.progress?.text ?? ''),
        ]);
        print(formatTable(['job', 'state', 'submitted', 'by', 'failed', 'last said'], rows));
      }),
    );

  jobs
    .command('show')
    .description('a job with its result or error and what its program said')
    .argument('<job>', 'kind/key')
    .option('--json', 'one JSON object', false)
    .action(async (name: string, { json }: { json: boolean }) => {
      const { kind, key } = parseJobName(name);
      await withJobQueues(line, async (queues) => {
        const job = await queues.get(kind, key);
        const log = await queues.readLog(kind, key);
        print(json ? toJson({ ...job, log }) : formatJob(job, log));
      });
    });

  jobs
    .command('cancel')
    .description('stop a job, or keep it from starting')
    .argument('<job>', 'kind/key')
    .option('--because <text>', 'why, for those who look at it later', parseReason)
    .option('--json', 'one JSON object', false)
    .action(async (name: string, { because, json }: { because?: string; json: boolean }) => {
      const { kind, key } = parseJobName(name);
      await withJobQueues(line, async (queues) => {
        const job = await queues.cancel(kind, key, { by: line.actor, because: because ?? null });
        print(json ? toJson(job) : `job ${kind}/${key} is ${job.state}`);
      });
    });

  jobs
    .command('retry')
    .description('give a dead or cancelled job all of its attempts again')
    .argument('<job>', 'kind/key')
    .option('--json', 'one JSON object', false)
    .action(async (name: string, { json }: { json: boolean }) => {
      const { kind, key } = parseJobName(name);
      await withJobQueues(line, async (queues) => {
        const job = await queues.retry(kind, key);
        print(json ? toJson(job) : `job ${kind}/${key} is ${job.state}`);
      });
    });
}
