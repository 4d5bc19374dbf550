// `ops model history`: which version of a model was in production when, from the ledger.
import type { Command } from 'commander';
import { selectReigns } from '#domain/promotion/champions.ts';
import { FatalError } from '#platform/errors.ts';
import { readReigns } from '#producers/promotion-store/promotion-ledger.ts';
import { withDefinitions } from '../apply/open-definitions.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseInstant } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';

const refusal = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });

/** An instant, or a calendar day, which means its end: a day's champion is the one that it ended with. */
function parseOn(text: string): Date {
  const time = parseInstant(text);
  if (text.length > 10) return time;
  return new Date(time.getTime() + 86_400_000 - 1);
}

export function addModelCommands(program: Command, line: CommandLine): void {
  program
    .command('model')
    .description('model versions and their times in production')
    .command('history')
    .description('which version was in production when')
    .argument('<name>', 'registered model, such as planner_model, or policy')
    .option('--on <time>', 'only at this time, or at the end of this day in UTC', parseOn)
    .option('--json', 'one JSON object', false)
    .action((name: string, { on, json }: { on?: Date; json: boolean }) =>
      withDefinitions(line, async ({ pool }) => {
        const all = await readReigns(pool, name);
        if (all.length === 0)
          throw refusal(`no version of ${name} was ever in production: \`ops policies list\` shows the models`);
        const reigns = on === undefined ? all : selectReigns(all, on.getTime());
        if (json) return line.print(toJson({ name, on: on?.toISOString() ?? null, versions: reigns }));
        if (reigns.length === 0) return line.print(`no version of ${name} was in production at ${on!.toISOString()}`);
        line.print(
          formatTable(
            ['model', 'policy version', 'in production from', 'until', 'by', 'why'],
            reigns.map((reign) => [
              reign.model,
              reign.policyVersion,
              reign.from,
              reign.to ?? 'now',
              reign.actor,
              `${reign.action}: ${reign.reason}`,
            ]),
          ),
        );
      }),
    );
}
