// Runs seeds one after the other and says what came of them: a line per seed, how often each moment was struck, a closing count.
import type { ChaosStack } from './chaos-stack.ts';
import { momentNames } from './moments.ts';
import { runSeed, type SeedResult } from './seed-run.ts';

const shownProblems = 10;

/** One line; of a failed seed also what is wrong and where its evidence is. */
export function describeSeed(result: SeedResult): string {
  const { seed, problems, seconds, counts, records, faults, evidence } = result;
  const verdict = problems.length === 0 ? 'passed' : 'FAILED';
  const events = `${counts.acknowledged} acknowledged, ${counts.unknown} unknown, ${counts.rejected} rejected`;
  const line = `seed ${seed} ${verdict} in ${seconds.toFixed(0)} s: ${events}; ${records} records, ${faults} faults`;
  if (problems.length === 0) return line;
  const shown = problems.slice(0, shownProblems).map((problem) => `  ${problem}`);
  return [line, ...shown, `  logs, ledger and timeline: ${evidence}`].join('\n');
}

export type SeedsResult = { readonly passed: number; readonly failed: number };

/** A moment that was never struck counts as a failure: what was not tried has not held. */
export async function runSeeds(
  chaos: ChaosStack,
  options: {
    first: number;
    count: number;
    evidenceDir: string;
    say: (text: string) => void;
    /** Told every fault; nobody when absent. */
    onFault?: (text: string) => void;
  },
): Promise<SeedsResult> {
  const { say } = options;
  const hits = new Map<string, number>();
  let [passed, failed] = [0, 0];
  for (let seed = options.first; seed < options.first + options.count; seed += 1) {
    const result = await runSeed(seed, chaos, {
      evidenceDir: options.evidenceDir,
      ...(options.onFault === undefined ? {} : { onProgress: options.onFault }),
    });
    say(describeSeed(result));
    if (result.problems.length === 0) passed += 1;
    else failed += 1;
    for (const [name, count] of result.hits) hits.set(name, (hits.get(name) ?? 0) + count);
  }
  say('\naimed moments:');
  for (const name of momentNames) say(`  ${String(hits.get(name) ?? 0).padStart(4)} x ${name}`);
  const missed = momentNames.filter((name) => !hits.has(name));
  if (missed.length > 0) {
    say(`never struck, which fails the run: ${missed.join('; ')}`);
    failed += 1;
  }
  say(`\n${passed} passed, ${failed} failed`);
  return { passed, failed };
}
