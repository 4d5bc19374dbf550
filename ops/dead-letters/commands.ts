// `ops dead-letters list | show | retry | discard`.
import { type Command, Option } from 'commander';
import { FatalError } from '#platform/errors.ts';
import { deadLetterReasons } from '#schemas/dead-letter-reasons.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { type Cluster, openCluster } from '../cluster/cluster.ts';
import { clusterConfig } from '../cluster/cluster-config.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseInstant, parsePositiveInteger, parseReason, refuseEmptyWindow } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { type DeadLetter, type DeadLetterFilter, type DeadLetterState, formatName } from './dead-letter.ts';
import { describeLetter, formatLetter } from './describe-letter.ts';
import { readDeadLetters } from './read-dead-letters.ts';
import { applyRetry, discard, planRetry } from './resolve-dead-letters.ts';

type FilterOptions = {
  group?: string[];
  reason?: string[];
  experiment?: string;
  from?: Date;
  to?: Date;
};

const states = ['open', 'retried', 'discarded'] as const satisfies readonly DeadLetterState[];

function addFilters(command: Command): Command {
  return command
    .addOption(new Option('--group <names...>', 'consumer groups').choices(topics.events.groups))
    .addOption(new Option('--reason <reasons...>', 'typed reasons').choices(Object.keys(deadLetterReasons)))
    .option('--experiment <key>', 'experiment key or id')
    .option('--from <time>', 'failed at or after this time', parseInstant)
    .option('--to <time>', 'failed before this time', parseInstant)
    .option('--json', 'one JSON object', false);
}

async function toFilter(cluster: Cluster, options: FilterOptions): Promise<DeadLetterFilter> {
  return {
    ...(options.group === undefined
      ? {}
      : { groupIds: options.group.map((name) => inNamespace(name, cluster.namespace)) }),
    ...(options.reason === undefined ? {} : { reasons: options.reason }),
    ...(options.experiment === undefined ? {} : { experimentId: await getExperimentId(cluster, options.experiment) }),
    ...(options.from === undefined ? {} : { from: options.from }),
    ...(options.to === undefined ? {} : { to: options.to }),
  };
}

/** Of the latest iteration when a key is given. */
async function getExperimentId({ pool }: Cluster, keyOrId: string): Promise<string> {
  const found = await pool.query<{ id: string }>(
    'SELECT id FROM exp.experiments WHERE key = $1 OR id::text = $1 ORDER BY iteration DESC LIMIT 1',
    [keyOrId],
  );
  // An id without a definition may be the very thing that is wrong with the events.
  if (found.rows[0] === undefined && !/^[0-9a-f-]{36}$/.test(keyOrId))
    throw new FatalError(`no experiment has the key ${keyOrId}`, { code: 'config-invalid' });
  return found.rows[0]?.id ?? keyOrId;
}

const summaryOf = (letters: readonly DeadLetter[]) =>
  [...Map.groupBy(letters, ({ groupId, reason, state }) => JSON.stringify([groupId, reason, state]))].map(
    ([key, entries]) => {
      const [groupId, reason, state] = JSON.parse(key) as [string, string, string];
      return { groupId, reason, state, count: entries.length };
    },
  );

const toListed = (letter: DeadLetter) => ({
  name: formatName(letter),
  state: letter.state,
  reason: letter.reason,
  stage: letter.stage,
  attempts: letter.positions.length,
  eventId: letter.eventId,
  experimentIds: letter.experimentIds,
  lastFailedAt: letter.lastFailedAt,
  error: letter.error,
});

function formatList(letters: readonly DeadLetter[], limit: number): string {
  if (letters.length === 0) return 'no dead letters';
  const table = formatTable(
    ['name', 'state', 'reason', 'attempts', 'failed', 'error'],
    letters
      .slice(-limit)
      .map((letter) => [
        formatName(letter),
        letter.state,
        letter.reason,
        letter.positions.length,
        letter.lastFailedAt,
        letter.error.slice(0, 100),
      ]),
  );
  const counts = formatTable(
    ['group', 'reason', 'state', 'letters'],
    summaryOf(letters).map(({ groupId, reason, state, count }) => [groupId, reason, state, count]),
  );
  const hidden = letters.length > limit ? [`(the latest ${limit} of ${letters.length}: see --limit)`] : [];
  return [table, ...hidden, '', counts].join('\n');
}

/** Letters that a retry or discard is about: by name, or by filter; open ones unless named. */
async function selectLetters(cluster: Cluster, names: readonly string[], options: FilterOptions & { all: boolean }) {
  const filter = await toFilter(cluster, options);
  if (names.length === 0 && Object.keys(filter).length === 0 && !options.all) {
    throw new FatalError('say which: names as "dead-letters list" gives them, a filter, or --all', {
      code: 'config-invalid',
    });
  }
  const { letters } = await readDeadLetters(
    cluster,
    names.length > 0 ? { ...filter, names } : { ...filter, states: ['open'] },
  );
  const missing = names.filter((name) => !letters.some((letter) => formatName(letter) === name));
  if (missing.length > 0) {
    throw new FatalError(`no such dead letter: ${missing.join(', ')}`, { code: 'config-invalid' });
  }
  return letters;
}

type ResolveOptions = FilterOptions & { all: boolean; dryRun: boolean; yes: boolean; json: boolean; because?: string };

export function addDeadLetterCommands(program: Command, line: CommandLine): void {
  const group = program.command('dead-letters').description('records that a consumer group could not use');
  const withCluster = async (window: FilterOptions, work: (cluster: Cluster) => Promise<void>): Promise<void> => {
    refuseEmptyWindow(window);
    await using resources = new AsyncDisposableStack();
    await work(openCluster(line.settingsOf(clusterConfig), resources));
  };

  addFilters(group.command('list').description('dead letters with their reasons and what became of them'))
    .addOption(new Option('--state <states...>', 'only these').choices(states).default(['open']))
    .option('--limit <count>', 'most letters in the table', parsePositiveInteger, 50)
    .action(async (options: FilterOptions & { state: DeadLetterState[]; limit: number; json: boolean }) =>
      withCluster(options, async (cluster) => {
        const filter = { ...(await toFilter(cluster, options)), states: options.state };
        const { letters, unreadable } = await readDeadLetters(cluster, filter);
        if (unreadable > 0) line.note(`${unreadable} records of the dead-letter topic are no dead letters`);
        if (options.json)
          line.print(toJson({ counts: summaryOf(letters), letters: letters.map(toListed), unreadable }));
        else line.print(formatList(letters, options.limit));
      }),
    );

  group
    .command('show')
    .description('one dead letter with its record')
    .argument('<name>', 'as "list" gives it')
    .option('--json', 'one JSON object', false)
    .action(async (name: string, options: { json: boolean }) =>
      withCluster({}, async (cluster) => {
        const [letter] = await selectLetters(cluster, [name], { all: false });
        const detail = await describeLetter(cluster, letter!);
        line.print(options.json ? toJson(detail) : formatLetter(detail));
      }),
    );

  const addResolve = (command: Command): Command =>
    addFilters(command)
      .argument('[names...]', 'letters by name, as "list" gives them')
      .option('--all', 'every open letter', false)
      .option('--dry-run', 'only show what would be done', false)
      .option('--yes', 'do it without asking', false);

  addResolve(
    group.command('retry').description('send the records again; every group reads them, and each event counts once'),
  )
    .option('--because <text>', 'why, for the audit log', parseReason)
    .action(async (names: string[], options: ResolveOptions) =>
      withCluster(options, async (cluster) => {
        const letters = await selectLetters(cluster, names, options);
        const plan = await planRetry(cluster, letters);
        const report = { letters: letters.length, records: plan.records.length, erased: plan.erased.length, sent: 0 };
        if (!options.dryRun && plan.records.length > 0) {
          line.note(`${plan.records.length} records will be sent to ${plan.topic} again`);
          await line.confirm(plan.topic, options);
          report.sent = (await applyRetry(cluster, plan, { actor: line.actor, because: options.because ?? null })).sent;
        }
        line.print(
          options.json
            ? toJson({ ...report, names: letters.map(formatName) })
            : `${report.letters} letters, ${report.records} records, ${report.erased} of erased units or without content left out; ${options.dryRun ? 'nothing sent (dry run)' : `${report.sent} sent`}`,
        );
      }),
    );

  addResolve(
    group
      .command('discard')
      .description('put the letters aside for good; their records stay until the topic expires them'),
  )
    .requiredOption('--because <text>', 'why, for the audit log', parseReason)
    .action(async (names: string[], options: ResolveOptions) =>
      withCluster(options, async (cluster) => {
        const letters = await selectLetters(cluster, names, options);
        if (!options.dryRun && letters.length > 0) {
          line.note(`${letters.length} dead letters will be discarded`);
          await line.confirm(cluster.topicName('eventsDeadLetter'), options);
          await discard(cluster, letters, { actor: line.actor, because: options.because ?? null });
        }
        const discarded = options.dryRun ? 0 : letters.length;
        line.print(
          options.json
            ? toJson({ letters: letters.length, discarded, names: letters.map(formatName) })
            : `${letters.length} letters; ${options.dryRun ? 'nothing discarded (dry run)' : `${discarded} discarded`}`,
        );
      }),
    );
}
