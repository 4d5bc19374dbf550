// Process that times in-process evaluation: 100 experiments with two-clause conditions, by the domain's code and by the client.
//
// Every evaluation takes the next experiment and the next unit, so that neither is in the processor's cache because it was just there.
// Timed in two ways: each one alone, where two readings of the clock are part of the time, and in runs of twenty, where they are a
// twentieth of it but a slow one is spread over the run. Prints one JSON line.

import { toClientDefinition } from '#domain/experiment/client-definition.ts';
import { compileExperiment } from '#domain/experiment/compile-experiment.ts';
import { evaluate } from '#domain/experiment/evaluate.ts';
import type { ServedExperiment } from '#domain/experiment/experiment.ts';
import { asExperimentId, asExperimentKey, asUnitId, asUnitType, asVariantId } from '#domain/experiment/ids.ts';
import { createLocalEvaluation } from '../../clients/typescript/local-evaluation.ts';
import { fillIn } from '../../clients/typescript/settings.ts';

export type EvaluationTimes = {
  /** In µs. */
  readonly aloneP50: number;
  readonly aloneP99: number;
  readonly inRunsP50: number;
  readonly inRunsP99: number;
};
export type EvaluationResult = Readonly<Record<'domain' | 'clientNewUnits' | 'clientKnownUnits', EvaluationTimes>>;

const experimentCount = 100;
const perRun = 20;
const sampleCount = Number(process.argv[2]);
const unitType = asUnitType('user');
const countries = ['NL', 'DE', 'FR', 'BE'];

const uuidOf = (kind: number, serial: number): string =>
  `${String(kind).padStart(8, '0')}-0000-5000-8000-${String(serial).padStart(12, '0')}`;

function createExperiment(serial: number): ServedExperiment {
  return {
    experimentId: asExperimentId(uuidOf(1, serial)),
    experimentKey: asExperimentKey(`experiment-${serial}`),
    iteration: 1,
    version: 1,
    status: 'running',
    serving: { mode: 'as_assigned' },
    unitType,
    coverage: 10_000,
    variants: ['control', 'treatment'].map((name, position) => ({
      variantId: asVariantId(uuidOf(2 + position, serial)),
      name,
      allocation: 5_000,
      isControl: position === 0,
      config: { params: { color: name } },
    })),
    targeting: { country: { $in: [countries[serial % 4]!, countries[(serial + 1) % 4]!] }, age: { $gte: 18 } },
    layer: null,
    holdout: null,
    forcedVariants: {},
    startsAt: null,
    endsAt: null,
    storeRequired: false,
  };
}

const experiments = Array.from({ length: experimentCount }, (_, serial) => createExperiment(serial));
const compiled = experiments.map((experiment) => compileExperiment(experiment));
const unitCount = 10_007;
const units = Array.from({ length: unitCount }, (_, serial) => ({
  unitType,
  unitId: asUnitId(`user-${serial * 7919}`),
  context: { country: countries[serial % 4]!, age: 16 + (serial % 40), plan: 'free' },
}));

/** Counts what the evaluations gave, so that they cannot be left out. */
let assigned = 0;

function percentile(sorted: Float64Array, ratio: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))]! * 1_000;
}

function time(evaluateNext: (serial: number) => void): EvaluationTimes {
  let serial = 0;
  for (; serial < 200_000; serial += 1) evaluateNext(serial);
  const alone = new Float64Array(sampleCount);
  for (let index = 0; index < sampleCount; index += 1) {
    const startedAt = performance.now();
    evaluateNext(serial);
    alone[index] = performance.now() - startedAt;
    serial += 1;
  }
  const inRuns = new Float64Array(Math.ceil(sampleCount / perRun));
  for (let index = 0; index < inRuns.length; index += 1) {
    const startedAt = performance.now();
    for (const end = serial + perRun; serial < end; serial += 1) evaluateNext(serial);
    inRuns[index] = (performance.now() - startedAt) / perRun;
  }
  alone.sort();
  inRuns.sort();
  return {
    aloneP50: percentile(alone, 0.5),
    aloneP99: percentile(alone, 0.99),
    inRunsP50: percentile(inRuns, 0.5),
    inRunsP99: percentile(inRuns, 0.99),
  };
}

const domain = time((serial) => {
  const { unitId, context } = units[serial % unitCount]!;
  const answer = evaluate(compiled[serial % experimentCount]!, {
    unitType,
    unitId,
    context,
    stored: null,
    nowMs: 1_700_000_000_000,
  });
  if (answer.assignment !== null) assigned += 1;
});

const keys = experiments.map(({ experimentKey }) => experimentKey);
function createClientEvaluation() {
  const local = createLocalEvaluation(fillIn({ definitionsUrl: 'http://localhost' } as Parameters<typeof fillIn>[0]));
  local.take(experiments.map(toClientDefinition), null);
  return local;
}

const forNewUnits = createClientEvaluation();
const clientNewUnits = time((serial) => {
  // Every unit is met for the first time: what it gets is remembered in the sticky store.
  const { unitId, context } = units[serial % unitCount]!;
  const unit = { unitType, unitId: `${unitId}-${serial}`, context };
  if (forNewUnits.evaluate(keys[serial % experimentCount]!, unit).decision.variantId !== null) assigned += 1;
});

const forKnownUnits = createClientEvaluation();
const knownUnits = units.slice(0, 97);
const clientKnownUnits = time((serial) => {
  const unit = knownUnits[serial % knownUnits.length]!;
  if (forKnownUnits.evaluate(keys[serial % experimentCount]!, unit).decision.variantId !== null) assigned += 1;
});

if (assigned === 0) throw new Error('no evaluation assigned anything');
process.stdout.write(`${JSON.stringify({ domain, clientNewUnits, clientKnownUnits } satisfies EvaluationResult)}\n`);
