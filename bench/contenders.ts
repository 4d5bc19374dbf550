// Runs what is compared in turn, several times, so that whatever else the machine does hits all of it alike.
import { type Finding, type Measured, type Sample, toRatioFinding } from './findings.ts';

export type Contender = {
  readonly name: string;
  readonly unit: string;
  run(): Promise<Sample>;
};

export type Comparison = {
  readonly name: string;
  readonly subject: Contender;
  readonly baseline: Contender;
  readonly bar: number;
  readonly aim?: number;
};

export type RunOptions = {
  readonly repetitions: number;
  readonly onProgress: (text: string) => void;
};

/** Each contender of the comparisons runs once per repetition, every second time in the opposite order. */
export async function runComparisons(comparisons: readonly Comparison[], options: RunOptions): Promise<Finding[]> {
  const contenders = [...new Set(comparisons.flatMap(({ subject, baseline }) => [subject, baseline]))];
  const samples = new Map<Contender, Sample[]>(contenders.map((contender) => [contender, []]));
  for (let repetition = 0; repetition < options.repetitions; repetition += 1) {
    for (const contender of repetition % 2 === 0 ? contenders : [...contenders].reverse()) {
      const sample = await contender.run();
      samples.get(contender)!.push(sample);
      options.onProgress(
        `${repetition + 1}/${options.repetitions} ${contender.name}: ${Math.round(sample.perSecond).toLocaleString('en')} ${contender.unit}/s`,
      );
    }
  }
  const measuredOf = (contender: Contender): Measured => ({
    name: contender.name,
    unit: contender.unit,
    samples: samples.get(contender)!,
  });
  return comparisons.map(({ name, subject, baseline, bar, aim }) =>
    toRatioFinding(
      name,
      { subject: measuredOf(subject), baseline: measuredOf(baseline) },
      aim === undefined ? { bar } : { bar, aim },
    ),
  );
}
