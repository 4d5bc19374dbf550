// `npm run chaos`: runs seeds one after the other, one line each, how often each aimed moment was struck, and a closing count.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { defaultLocalDir } from '#infra/local/local-dir.ts';
import { describeError } from '#platform/errors.ts';
import { startChaosStack } from './chaos-stack.ts';
import { momentNames } from './moments.ts';
import { runSeed, type SeedResult } from './seed-run.ts';

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

function describe({ seed, problems, seconds, counts, records, faults, evidence }: SeedResult): string {
  const what = `${counts.acknowledged} acknowledged, ${counts.unknown} unknown, ${counts.rejected} rejected; ${records} records, ${faults} faults`;
  const line = `seed ${seed} ${problems.length === 0 ? 'passed' : 'FAILED'} in ${seconds.toFixed(0)} s: ${what}`;
  if (problems.length === 0) return line;
  return [
    line,
    ...problems.slice(0, 10).map((problem) => `  ${problem}`),
    `  logs, ledger and timeline: ${evidence}`,
  ].join('\n');
}

async function run(): Promise<boolean> {
  await rm(evidenceDir, { recursive: true, force: true });
  say('starting a stack of its own');
  const chaos = await startChaosStack();
  const hits = new Map<string, number>();
  let [passed, failed] = [0, 0];
  try {
    for (let seed = options.firstSeed; seed < options.firstSeed + options.seeds; seed += 1) {
      const result = await runSeed(seed, chaos, { evidenceDir, ...(options.verbose ? { onProgress: say } : {}) });
      say(describe(result));
      if (result.problems.length === 0) passed += 1;
      else failed += 1;
      for (const [name, count] of result.hits) hits.set(name, (hits.get(name) ?? 0) + count);
    }
  } finally {
    await chaos.stop();
  }
  say('\naimed moments:');
  for (const name of momentNames) say(`  ${String(hits.get(name) ?? 0).padStart(4)} x ${name}`);
  const missed = momentNames.filter((name) => !hits.has(name));
  if (missed.length > 0) {
    say(`never struck: ${missed.join('; ')}`);
    failed += 1;
  }
  say(`\n${passed} passed, ${failed} failed`);
  return failed === 0;
}

try {
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  say(`the run could not go on: ${describeError(error)}`);
  process.exitCode = 1;
}
