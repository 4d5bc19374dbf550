// `npm run chaos`: seeded chaos on a stack of its own.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { defaultLocalDir } from '#infra/local/local-dir.ts';
import { describeError } from '#platform/errors.ts';
import { startChaosStack } from './chaos-stack.ts';
import { runSeeds } from './run-seeds.ts';

const natural = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive integer');
  return value;
};

const options = new Command('npm run chaos --')
  .description(
    'Break the running system in seeded random ways and check that nothing is lost, invented or counted twice',
  )
  .option('--seeds <count>', 'how many seeds to run', natural, 3)
  .option('--first-seed <number>', 'the first of them; the others follow', natural, 1)
  .option('--verbose', 'print every fault', false)
  .parse()
  .opts<{ seeds: number; firstSeed: number; verbose: boolean }>();

const evidenceDir = join(defaultLocalDir(), 'chaos');
const say = (text: string): void => void process.stdout.write(`${text}\n`);

try {
  await rm(evidenceDir, { recursive: true, force: true });
  say('starting a stack of its own');
  const chaos = await startChaosStack();
  try {
    const { failed } = await runSeeds(chaos, {
      first: options.firstSeed,
      count: options.seeds,
      evidenceDir,
      say,
      ...(options.verbose ? { onFault: say } : {}),
    });
    process.exitCode = failed === 0 ? 0 : 1;
  } finally {
    await chaos.stop();
  }
} catch (error) {
  say(`the run could not go on: ${describeError(error)}`);
  process.exitCode = 1;
}
