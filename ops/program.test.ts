// Property tests of the command line: whatever is typed, it ends with a message or with work, never with a defect.
import { Command, CommanderError } from 'commander';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlatformError } from '#platform/errors.ts';
import type { CommandLine } from './command-line/command-line.ts';
import { createProgram } from './program.ts';

/** Thrown where a command would begin to work on a system: its arguments were accepted. */
class Accepted extends Error {}

const accept = (): never => {
  throw new Accepted();
};

const line: CommandLine = {
  settingsOf: accept,
  environment: new Proxy({}, { get: accept, ownKeys: accept }),
  print: () => undefined,
  note: () => undefined,
  reportProblems: () => undefined,
  confirm: accept,
  actor: 'tester',
};

function createQuietProgram(): Command {
  const quiet = { writeOut: () => undefined, writeErr: () => undefined };
  return createProgram(line, new Command('ops').exitOverride().configureOutput(quiet));
}

type Outcome = 'accepted' | 'refused' | 'done';

/** @throws what is neither a refusal with a message nor the beginning of work. */
async function type(words: readonly string[]): Promise<Outcome> {
  try {
    await createQuietProgram().parseAsync(words, { from: 'user' });
    return 'done';
  } catch (error) {
    if (error instanceof Accepted) return 'accepted';
    const isMessage = error instanceof CommanderError || error instanceof PlatformError;
    if (isMessage && error.message !== '') return 'refused';
    throw error;
  }
}

function listCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(listCommands)];
}

const commands = listCommands(createQuietProgram());
const names = [...new Set(commands.map((command) => command.name()))];
const flags = [
  ...new Set(
    commands.flatMap(({ options }) =>
      options.flatMap(({ long, short }) => [long, short].filter((flag) => flag != null)),
    ),
  ),
] as string[];

const oddValue = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom(
    '',
    '-',
    '--',
    '=',
    '0',
    '-1',
    '1e9',
    '9999999999999999999',
    'NaN',
    '__proto__',
    'constructor',
    '{}',
    '%',
    '*',
    '\u0000',
  ),
  fc.constantFrom(
    '2026-01-05',
    '2026-02-31',
    '2026-01-05T14:00:00Z',
    '2026-01-05T25:00:00Z',
    '+275761-01-01T00:00:00Z',
    'earliest',
    '0,1,',
    '3',
  ),
  fc.constantFrom('postgres-sink', 'parquet-archiver', 'open', 'undecodable', 'a', 'no/such/file.yml'),
);

describe('the command line', () => {
  it('takes any words', async () => {
    const word = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...names) },
      { weight: 2, arbitrary: fc.constantFrom(...flags) },
      { weight: 3, arbitrary: oddValue },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 7 }), async (words) => {
        await type(words);
      }),
      { numRuns: 400 },
    );
  });

  it('takes any values of the options of any command', async () => {
    const leaves = commands.filter((command) => command.commands.length === 0);
    const pathOf = (command: Command): string[] =>
      command.parent === null ? [] : [...pathOf(command.parent), command.name()];
    const call = fc
      .constantFrom(...leaves)
      .chain((command) =>
        fc
          .tuple(
            fc.array(oddValue, { maxLength: command.registeredArguments.length + 1 }),
            fc.array(fc.tuple(fc.constantFrom(...command.options, ...flags), oddValue), { maxLength: 4 }),
          )
          .map(([values, options]) => [
            ...pathOf(command),
            ...values,
            ...options.flatMap(([option, value]) => (typeof option === 'string' ? [option] : [option.long!, value])),
          ]),
      );
    const outcomes = new Set<Outcome>();
    await fc.assert(
      fc.asyncProperty(call, async (words) => {
        outcomes.add(await type(words));
      }),
      { numRuns: 600 },
    );
    expect(outcomes, 'some calls are good ones').toContain('accepted');
    expect(outcomes).toContain('refused');
  });

  it.each([
    ['replay --group postgres-sink --from 3', 'refused'],
    ['replay --group postgres-sink --from 3 --partitions 0', 'accepted'],
    ['replay --group postgres-sink --from 2026-02-31', 'refused'],
    ['dead-letters list --reason poison --from 2026-01-05', 'accepted'],
    ['dead-letters list --from 2026-01-06 --to 2026-01-05', 'refused'],
    ['dead-letters discard --all', 'refused'],
    ['dead-letters discard --all --because=', 'refused'],
    ['dataset build planner --from 2026-01-06 --to 2026-01-06', 'refused'],
    ['experiments pause key --reason=', 'refused'],
    ['promote start planner_model/3 --policy p --reason r', 'accepted'],
    ['promote start planner_model/3 --policy p --reason r --force=', 'refused'],
    ['promote finish key --reason r --force=', 'refused'],
    ['promote roll-back key --reason=', 'refused'],
    ['lineage erased everything', 'refused'],
    ['reconcile --from 2026-01-05T14:00:00Z --repair', 'accepted'],
    ['archive verify --events --from 2026-13-01', 'refused'],
    ['archive verify --events --from 2026-12-01 --to 2026-01-01', 'refused'],
    ['scale postgres-sink -1', 'refused'],
    ['scale nobody 2', 'refused'],
    ['rebuild postgres', 'refused'],
    ['rebuild postgres --from-archive --group parquet-archiver', 'refused'],
  ])('%s is %s', async (words, outcome) => {
    expect(await type(words.split(' '))).toBe(outcome);
  });

  it('has a description for every command and every option', () => {
    for (const command of commands) {
      expect(command.description(), command.name()).not.toBe('');
      for (const option of command.options)
        expect(option.description, `${command.name()} ${option.flags}`).not.toBe('');
    }
  });
});
