// `ops metabase apply | check`: models, cards and dashboards of this release in a Metabase.
import type { Command } from 'commander';
import { catalogue } from '#analytics/metabase/catalogue.ts';
import { FatalError } from '#platform/errors.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import type { Change } from './changes.ts';
import { checkCards } from './check.ts';
import { metabaseConfig } from './metabase-config.ts';
import { provision } from './provision.ts';
import { openMetabase } from './session.ts';

type Options = { dryRun: boolean; archiveOthers: boolean; json: boolean };

const describeChange = ({ action, kind, name, differences }: Change, isDryRun: boolean): string => {
  const what =
    differences.length === 0
      ? ''
      : ` (differs in ${differences.slice(0, 5).join(', ')}${differences.length > 5 ? ' and more' : ''})`;
  return `${isDryRun ? 'would ' : ''}${action} ${kind} ${name}${what}`;
};

export function addMetabaseCommands(program: Command, line: CommandLine): void {
  const metabase = program.command('metabase').description('models and dashboards in Metabase');

  metabase
    .command('apply')
    .description('bring models, cards and dashboards of a Metabase to this release (safe to repeat)')
    .option('--dry-run', 'say what would be written, and write nothing', false)
    .option(
      '--archive-others',
      'move what is in our collection and not of this release to the trash of Metabase',
      false,
    )
    .option('--json', 'one JSON object', false)
    .action(async ({ dryRun: isDryRun, archiveOthers, json }: Options) => {
      const config = line.settingsOf(metabaseConfig);
      const onChange = (change: Change): void => {
        if (!json) line.print(describeChange(change, isDryRun));
      };
      const { changes, unchangedCount, others } = await provision(config, catalogue, {
        isDryRun,
        archiveOthers,
        onChange,
      });
      if (json) return line.print(toJson({ dry_run: isDryRun, changes, unchanged: unchangedCount, others }));
      for (const { model, name, id } of others)
        line.print(`not of this release, left alone: ${model} ${name} (${id}); --archive-others moves it to the trash`);
      const verb = isDryRun ? 'to be changed' : 'changed';
      line.print(`${changes.length} ${verb}, ${unchangedCount} as they should be, at ${config.url}`);
    });

  metabase
    .command('check')
    .description('run every card of the dashboards in Metabase: which fail, which show nothing')
    .option('--json', 'one JSON object', false)
    .action(async ({ json }: { json: boolean }) => {
      const config = line.settingsOf(metabaseConfig);
      const { client } = await openMetabase(config, { isDryRun: true });
      if (client === null)
        throw new FatalError(`Metabase at ${config.url} is empty: run "ops metabase apply" first`, {
          code: 'config-invalid',
        });
      const checked = await checkCards(client, catalogue);
      const failed = checked.filter(({ error }) => error !== null);
      if (failed.length > 0) line.reportProblems();
      if (json) return line.print(toJson({ cards: checked }));
      line.print(
        formatTable(
          ['dashboard', 'card', 'rows', 'error'],
          checked.map(({ dashboard, card, rows, error }) => [dashboard, card, rows, error ?? '']),
        ),
      );
      line.print(`${checked.length} cards, ${failed.length} failed`);
    });
}
