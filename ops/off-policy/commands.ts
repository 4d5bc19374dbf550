// `ops off-policy open-bandit`: the click rate of one policy estimated from the log of the other, beside the measured one.
import type { Command } from 'commander';
import { formatNumber } from '#domain/results/format-results.ts';
import { comparePolicies, type Impression, type PolicyComparison } from '#domain/results/open-bandit-value.ts';
import { toWire } from '#domain/results/to-wire.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { FatalError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { withDefinitions } from '../apply/open-definitions.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parsePositiveInteger } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';

type Options = { experiment: string; logged: string; target: string; samples: number; json: boolean };

const caveats = [
  'The target policy is taken to draw items with the frequencies of its own rows in each position; it really looks at the user too.',
  'Both policies are taken to have met the same users at the same times; a change over time that hits one log only is not corrected.',
];

async function readImpressions(pool: Pool, experimentKey: string, variant: string): Promise<Impression[]> {
  const { rows } = await pool.query<{ item_id: string; position: number; click: number; propensity: number }>(
    `SELECT e.context ->> 'item_id' AS item_id, (e.context ->> 'position')::integer AS position,
       (e.metrics ->> 'click')::float8 AS click, (e.context ->> 'action_propensity')::float8 AS propensity
     FROM exp.experiments x
     JOIN exp.variants v ON v.experiment_id = x.id AND v.name = $2
     JOIN exp.events e ON e.experiments @> jsonb_build_array(jsonb_build_object('experiment_id', x.id, 'variant_id', v.id))
     WHERE x.key = $1 AND e.event_type = 'impression' AND e.context ? 'action_propensity' AND e.metrics ? 'click'
     ORDER BY e.event_date, e.event_id`,
    [experimentKey, variant],
  );
  return rows.map(({ item_id, position, click, propensity }) => ({ itemId: item_id, position, click, propensity }));
}

function describe({ measured, estimates }: PolicyComparison, { logged, target }: Options): string {
  const rate = (value: number): string => `${formatNumber(100 * value, 3)} %`;
  const rows = estimates.map(({ estimator, value }) => {
    if (!isComputed(value)) return [estimator, '-', '-', '-', '-', value.detail];
    const { interval, overlap } = value;
    const holds =
      isComputed(measured) && interval.lower <= measured.value && measured.value <= interval.upper
        ? 'holds the measured rate'
        : '';
    return [
      estimator,
      rate(value.value),
      `${rate(interval.lower)} to ${rate(interval.upper)}`,
      formatNumber(overlap.effectiveSampleSize, 5),
      formatNumber(overlap.largestWeight, 3),
      holds,
    ];
  });
  const head = isComputed(measured)
    ? `measured click rate of ${target}: ${rate(measured.value)} (${rate(measured.lower)} to ${rate(measured.upper)}, ${measured.impressions} impressions)`
    : `the click rate of ${target} was not measured: ${measured.detail}`;
  return [
    head,
    `estimated from the log of ${logged}:`,
    '',
    formatTable(['estimator', 'click rate', 'interval (95 %)', 'effective rounds', 'largest weight', ''], rows),
    '',
    ...caveats,
  ].join('\n');
}

export function addOffPolicyCommands(program: Command, line: CommandLine): void {
  program
    .command('off-policy')
    .description('the value of a policy, estimated from the decisions of another one')
    .command('open-bandit')
    .description(
      'click rate of one policy of an Open Bandit experiment from the log of the other, beside the measured one',
    )
    .option('--experiment <key>', 'experiment that the file was replayed as', 'open-bandit-men')
    .option('--logged <variant>', 'policy whose log is used', 'random')
    .option('--target <variant>', 'policy whose click rate is estimated', 'bts')
    .option('--samples <count>', 'resamples behind each interval', parsePositiveInteger, 2_000)
    .option('--json', 'one JSON object', false)
    .action((options: Options) =>
      withDefinitions(line, async ({ pool }) => {
        const [logged, target] = [
          await readImpressions(pool, options.experiment, options.logged),
          await readImpressions(pool, options.experiment, options.target),
        ];
        if (logged.length + target.length === 0) {
          throw new FatalError(
            `experiment ${options.experiment} has no impressions of ${options.logged} or ${options.target}`,
            {
              code: 'config-invalid',
            },
          );
        }
        const comparison = comparePolicies(logged, target, { seed: 1, samples: options.samples });
        if (options.json) line.print(toJson({ ...(toWire(comparison) as object), caveats }));
        else line.print(describe(comparison, options));
      }),
    );
}
