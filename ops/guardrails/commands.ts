// `ops guardrails list | clear`: what broken guardrails stopped, and the hand of a person who lets it go on.
import type { Command } from 'commander';
import { FatalError } from '#platform/errors.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { listIterations } from '#producers/definition-store/definition-rows.ts';
import { clearGuardrail, listGuardrailActions } from '#producers/definition-store/guardrail-latch.ts';
import { withDefinitions } from '../apply/open-definitions.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseReason } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';

export function addGuardrailCommands(program: Command, line: CommandLine): void {
  const guardrails = program.command('guardrails').description('experiments that a broken guardrail stopped');

  guardrails
    .command('list')
    .description('what guardrails stopped, the latest first')
    .argument('[key]', 'only of this experiment')
    .option('--json', 'one JSON object', false)
    .action((key: string | undefined, { json }: { json: boolean }) =>
      withDefinitions(line, async ({ pool }) => {
        if (key !== undefined && (await listIterations(pool, key)).length === 0)
          throw new FatalError(`there is no experiment ${key}`, { code: 'config-invalid' });
        const actions = await listGuardrailActions(pool, key ?? null);
        if (json) return line.print(toJson({ actions }));
        if (actions.length === 0) return line.print('no guardrail has stopped anything');
        line.print(
          formatTable(
            ['experiment', 'iteration', 'stopped at', 'state', 'why'],
            actions.map((action) => [
              action.experiment_key,
              action.iteration,
              action.created_at,
              action.cleared_at === null ? 'stopped' : `cleared by ${action.cleared_by}: ${action.cleared_because}`,
              String(action.evidence.summary),
            ]),
          ),
        );
      }),
    );

  guardrails
    .command('clear')
    .description('let an experiment go on after its guardrail stopped it: then resume and restore it')
    .argument('<key>', 'key, or id of one iteration')
    .requiredOption('--reason <text>', 'why, for the history', parseReason)
    .action((key: string, { reason }: { reason: string }) =>
      withDefinitions(line, async ({ pool }) => {
        const cleared = await inTransaction(pool, (tx) => clearGuardrail(tx, key, { actor: line.actor, reason }));
        if (!cleared) throw new FatalError(`no guardrail holds ${key}`, { code: 'config-invalid' });
        line.print(
          `cleared: ${key} stays paused with delivery off until \`ops experiments restore ${key}\` and \`ops experiments resume ${key}\`; its guardrails are watched again from then on`,
        );
      }),
    );
}
