// `ops reconcile`: aggregates against a recount of the stored events, and their repair.
import type { Command } from 'commander';
import { openCluster } from '../cluster/cluster.ts';
import { clusterConfig } from '../cluster/cluster-config.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseInstant, parseReason } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { type Comparison, compareAggregates, differenceCount } from './compare-aggregates.ts';
import { type RepairCounts, repairAggregates } from './repair-aggregates.ts';

type ReconcileArguments = {
  from?: Date;
  to?: Date;
  repair: boolean;
  yes: boolean;
  json: boolean;
  because?: string;
};

function formatComparison(comparison: Comparison): string {
  const { tables, droppedDays, partialExperiments, window } = comparison;
  const table = formatTable(
    ['table', 'rows', 'missing', 'surplus', 'different', 'first example'],
    tables.map(({ table: name, rows, missing, surplus, different, examples }) => [
      name,
      rows,
      missing,
      surplus,
      different,
      examples.length === 0 ? '' : JSON.stringify(examples[0]),
    ]),
  );
  return [
    table,
    '',
    ...(window.from === null && window.to === null
      ? []
      : ['rows of units cover their whole history and are compared only without --from and --to']),
    ...(droppedDays.length === 0
      ? []
      : [
          `${droppedDays.length} days were dropped by retention and are left out, ${droppedDays[0]} to ${droppedDays.at(-1)}`,
        ]),
    ...(partialExperiments.length === 0
      ? []
      : [`${partialExperiments.length} experiments have events on dropped days: their units are left out`]),
    differenceCount(comparison) === 0
      ? 'the aggregates equal a recount of the stored events'
      : `${differenceCount(comparison)} rows differ from a recount of the stored events`,
  ].join('\n');
}

const formatRepair = (counts: RepairCounts): string =>
  formatTable(
    ['table', 'written', 'removed'],
    Object.entries(counts).map(([table, { written, removed }]) => [table, written, removed]),
  );

export function addReconcileCommand(program: Command, line: CommandLine): void {
  program
    .command('reconcile')
    .description('compare aggregates with a recount of the stored events, and repair them')
    .option('--from <time>', 'first hour of event time', parseInstant)
    .option('--to <time>', 'hour after the last one', parseInstant)
    .option('--repair', 'make the aggregates those of the recount', false)
    .option('--because <text>', 'why, for the audit log', parseReason)
    .option('--yes', 'repair without asking', false)
    .option('--json', 'one JSON object', false)
    .action(async (options: ReconcileArguments) => {
      await using resources = new AsyncDisposableStack();
      const cluster = openCluster(line.settingsOf(clusterConfig), resources);
      const comparison = await compareAggregates(cluster, { from: options.from ?? null, to: options.to ?? null });
      const differs = differenceCount(comparison) > 0;
      if (!options.json) line.print(formatComparison(comparison));
      let repaired: RepairCounts | null = null;
      if (differs && options.repair) {
        await line.confirm('metrics-aggregator', options);
        const acting = { actor: line.actor, because: options.because ?? null, onProgress: line.note };
        repaired = await repairAggregates(cluster, comparison, acting);
        if (!options.json) line.print(`\n${formatRepair(repaired)}`);
      } else if (differs) line.reportProblems();
      if (options.json) {
        const { units, ...rest } = comparison;
        line.print(toJson({ ...rest, differingUnits: units.length, repaired }));
      }
    });
}
