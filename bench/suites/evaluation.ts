// Evaluation in process: how long one decision takes at most times out of a hundred, by the domain's code and by the client.
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { type Finding, spreadOf, toLimitFinding } from '../findings.ts';
import type { BenchOptions } from '../options.ts';
import type { EvaluationResult } from '../support/evaluation-run.ts';

const limitUs = 5;
/** Of 99 in 100: enough samples that single interruptions do not decide. */
const samplesPerSecond = 50_000;

const titles: Readonly<Record<keyof EvaluationResult, string>> = {
  domain: 'evaluation p99, as the service does it',
  clientNewUnits: 'evaluation p99, TypeScript client, units it has not met',
  clientKnownUnits: 'evaluation p99, TypeScript client, units it has met',
};

export async function measureEvaluation(options: BenchOptions, onProgress: (text: string) => void): Promise<Finding[]> {
  if (!options.only.has('evaluation')) return [];
  const runs: EvaluationResult[] = [];
  for (let repetition = 0; repetition < options.repetitions; repetition += 1) {
    const output = await runOwnProgram(
      'bench/support/evaluation-run.ts',
      [String(options.seconds * samplesPerSecond)],
      { PATH: process.env.PATH ?? '' },
    );
    runs.push(JSON.parse(output) as EvaluationResult);
    onProgress(
      `${repetition + 1}/${options.repetitions} evaluation: p99 ${runs.at(-1)!.domain.aloneP99.toFixed(2)} µs`,
    );
  }
  return (Object.keys(titles) as (keyof EvaluationResult)[]).map((kind) => {
    const median = (read: (run: EvaluationResult) => number): number => spreadOf(runs.map(read)).median;
    return toLimitFinding(
      titles[kind],
      {
        unit: 'µs',
        values: runs.map((run) => run[kind].aloneP99),
        notes: {
          'p50 µs': median((run) => run[kind].aloneP50),
          'mean of 20, p50 µs': median((run) => run[kind].inRunsP50),
          'mean of 20, p99 µs': median((run) => run[kind].inRunsP99),
        },
      },
      { limit: limitUs },
    );
  });
}
