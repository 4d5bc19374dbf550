// Command line of the planner traffic: writes a simulated world into Postgres and sends its events through the running services.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { createCatalogueFromSource } from '#domain/planning/catalogue.ts';
import { postgresSettings } from '#platform/config/common-settings.ts';
import { defineConfig } from '#platform/config/settings.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { createHttpWorkloadPort } from '../workload-client/http-workload-port.ts';
import { createProgressLine } from '../workload-client/progress-line.ts';
import { collectByVariant, parseDate, parsePositiveInteger } from '../workload-client/workload-arguments.ts';
import { parseWorkloadSettings, workloadSettings } from '../workload-client/workload-settings.ts';
import { plannerExperiment } from './planner-experiment.ts';
import { createHttpPlannerPort } from './planner-port.ts';
import { runPlannerTraffic } from './run-planner-traffic.ts';
import { runServedTraffic } from './served-traffic.ts';
import { toVariantEffects } from './variant-effects.ts';
import { simulateWorld } from './world.ts';
import { writeDomainRows } from './write-domain-rows.ts';

const parseUrl = (text: string): string => {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new InvalidArgumentError('expected an http:// or https:// address');
  return text;
};
const share = collectByVariant({ least: 0, most: 1 });
const factor = collectByVariant({ least: 0.01, most: 100 });
const program = new Command('planner-traffic')
  .description('Simulate households that plan their meals: requests, plans, and what the households make of them')
  .option('--seed <number>', 'seed of everything random', parsePositiveInteger, 1)
  .option('--households <count>', 'number of households', parsePositiveInteger, 200)
  .option('--days <count>', 'simulated days', parsePositiveInteger, 14)
  .option('--start <date>', 'first simulated day', parseDate, '2026-01-05')
  .option(
    '--effect <variant=number>',
    'added to the acceptance rate of a variant',
    collectByVariant({ least: -0.1, most: 0.1 }),
  )
  .option('--latency-factor <variant=number>', 'multiplies the latency of a variant', factor)
  .option('--cost-factor <variant=number>', 'multiplies the cost of a variant', factor)
  .option('--lose <variant=share>', 'share of the households of a variant that never show up', share)
  .option('--experiment <key...>', 'experiments to take part in', [plannerExperiment.key])
  .option('--planner <url>', 'ask the planner service there for the plans, and answer what it really served', parseUrl)
  .option('--run <name>', 'with --planner: the same name again sends nothing twice (default: a new one)')
  .option('--concurrency <count>', 'with --planner: households that ask at once', parsePositiveInteger, 8)
  .option('--definition', 'print the definition of the experiment as JSON and send nothing', false)
  .parse();
type PerVariant = Record<string, number> | undefined;
const options = program.opts<{
  seed: number;
  households: number;
  days: number;
  start: string;
  effect: PerVariant;
  latencyFactor: PerVariant;
  costFactor: PerVariant;
  lose: PerVariant;
  experiment: string[];
  planner?: string;
  run?: string;
  concurrency: number;
  definition: boolean;
}>();
if (options.planner !== undefined) {
  const unreal = (['latencyFactor', 'costFactor', 'lose'] as const).filter((name) => options[name] !== undefined);
  if (unreal.length > 0)
    program.error(
      'with --planner latency, cost and who shows up are real: leave out --latency-factor, --cost-factor and --lose',
    );
}

const parsed = parseWorkloadSettings(
  'planner-traffic',
  defineConfig({ ...workloadSettings, postgres: postgresSettings }),
  process.env,
);
if (options.definition) {
  process.stdout.write(`${JSON.stringify(plannerExperiment, null, 2)}\n`);
} else if (!parsed.ok) {
  process.stderr.write(`${parsed.text}\n`);
  process.exitCode = 2;
} else {
  await using stack = new AsyncDisposableStack();
  const { settings } = parsed;
  const recipes = JSON.parse(readFileSync(new URL('../../data/recipes.json', import.meta.url), 'utf8'));
  const world = simulateWorld({ ...options, catalogue: createCatalogueFromSource(recipes) });
  const pool = createPostgresPool({ ...settings.postgres, applicationName: 'planner-traffic' });
  stack.defer(() => pool.end());
  const port = createHttpWorkloadPort(settings);
  const line = createProgressLine(process.stderr, () => performance.now());
  try {
    const rows = await writeDomainRows(pool, world.rows);
    const shared = {
      world,
      effects: toVariantEffects(options),
      onProgress: ({ step, done }: { step: string; done: number }) => line.update(`planner-traffic: ${done} ${step}`),
    };
    const result =
      options.planner === undefined
        ? await runPlannerTraffic({ ...shared, experiments: options.experiment }, port)
        : await runServedTraffic(
            { ...shared, run: options.run ?? randomUUID(), concurrency: options.concurrency },
            {
              planner: createHttpPlannerPort({ plannerUrl: options.planner, apiKey: settings.apiKey }),
              workload: port,
            },
          );
    line.end();
    process.stdout.write(`${JSON.stringify({ rows, ...result })}\n`);
    if (result.events.rejected > 0) process.exitCode = 1;
  } catch (error) {
    process.stderr.write(`planner-traffic: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
