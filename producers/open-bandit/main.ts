// Command line of the Open Bandit workload: replays one file through the running services.

import { Command } from 'commander';
import { defineConfig } from '#platform/config/settings.ts';
import { defaultDeliveryConfig } from '../workload-client/deliver.ts';
import { createHttpWorkloadPort } from '../workload-client/http-workload-port.ts';
import { createProgressLine } from '../workload-client/progress-line.ts';
import { parsePositiveInteger } from '../workload-client/workload-arguments.ts';
import { adminKeySetting, parseWorkloadSettings, workloadSettings } from '../workload-client/workload-settings.ts';
import { planOpenBandit, runOpenBandit } from './run-open-bandit.ts';

const program = new Command('open-bandit')
  .description(
    'Replay a file of the Open Bandit Dataset: one experiment, imported assignments, one event per impression',
  )
  .argument('<file>', 'CSV file, gzipped or not; its name becomes the experiment key')
  .option('--definition', 'print the definition of the experiment as JSON and send nothing', false)
  .option('--batch-size <events>', 'events per request', parsePositiveInteger, defaultDeliveryConfig.batchSize)
  .parse();
const options = program.opts<{ definition: boolean; batchSize: number }>();
const [file = ''] = program.args;

try {
  const plan = await planOpenBandit(file);
  if (options.definition) {
    process.stdout.write(`${JSON.stringify(plan.definition, null, 2)}\n`);
  } else {
    await replay(plan);
  }
} catch (error) {
  process.stderr.write(`open-bandit: ${(error as Error).message}\n`);
  process.exitCode = 1;
}

async function replay(plan: Awaited<ReturnType<typeof planOpenBandit>>): Promise<void> {
  const schema = defineConfig({ ...workloadSettings, adminKey: adminKeySetting });
  const parsed = parseWorkloadSettings('open-bandit', schema, process.env);
  if (!parsed.ok) {
    process.stderr.write(`${parsed.text}\n`);
    process.exitCode = 2;
    return;
  }
  const port = createHttpWorkloadPort(parsed.settings);
  const line = createProgressLine(process.stderr, () => performance.now());
  const result = await runOpenBandit(plan, port, {
    delivery: { ...defaultDeliveryConfig, batchSize: options.batchSize },
    onProgress: ({ step, done, total }) => line.update(`${plan.experimentKey}: ${step} ${done} of ${total}`),
  });
  line.end();
  process.stdout.write(`${JSON.stringify({ experiment: plan.experimentKey, ...result })}\n`);
  if (result.events.rejected > 0) process.exitCode = 1;
}
