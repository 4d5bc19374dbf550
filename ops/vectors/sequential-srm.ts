// Runs series of counts through the anytime-valid sample ratio test and checks evidence, p-value and stopping point.
import {
  addToSequentialSampleRatio,
  type SequentialSampleRatio,
  startSequentialSampleRatio,
} from '#domain/statistics/sample-ratio.ts';
import { createDifferences, expectComputed } from './differences.ts';
import { type JsonRecord, readList, readNumber, readNumbers, readRecord } from './json-reader.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

export const sequentialSrmVectors: VectorKind = {
  fileName: 'sequential-srm.json',
  run(content) {
    const tally = createVectorTally();
    const { perUnitCheck, cases } = readRecord(content);
    if (perUnitCheck !== undefined) tally.attempt('unit by unit', () => runUnits(readRecord(perUnitCheck)));
    for (const item of readList(cases ?? [], 'cases')) {
      const fields = readRecord(item);
      tally.attempt(String(fields.name), () => runBatches(fields));
    }
    return tally.report();
  },
};

function optionsOf(fields: JsonRecord) {
  return { proportions: readNumbers(fields.theta0, 'theta0'), concentration: readNumber(fields.k, 'k') };
}

/** One unit at a time, each given by the number of its variant; units are counted from one. */
function runUnits(fields: JsonRecord): boolean | string {
  const options = optionsOf(fields);
  const alpha = readNumber(fields.alpha, 'alpha');
  let state: SequentialSampleRatio = expectComputed(startSequentialSampleRatio(options.proportions));
  let stopAt: number | null = null;
  for (const [i, variant] of readNumbers(fields.units, 'units').entries()) {
    const batch = options.proportions.map((_, index) => (index === variant ? 1 : 0));
    state = addToSequentialSampleRatio(state, batch, options);
    if (state.pValue > alpha) continue;
    stopAt = i + 1;
    break;
  }
  const differences = createDifferences();
  differences.equal('stop', stopAt, fields.stopAt ?? null);
  if (stopAt !== null) differences.number('p-value', state.pValue, readNumber(fields.pAtStop, 'pAtStop'));
  return differences.verdict();
}

function runBatches(fields: JsonRecord): boolean | string {
  const options = optionsOf(fields);
  const expected = readList(fields.expected, 'expected').map((item) => readRecord(item));
  const differences = createDifferences();
  let state: SequentialSampleRatio = expectComputed(startSequentialSampleRatio(options.proportions));
  const batches = readList(fields.batches, 'batches');
  differences.equal('looks', batches.length, expected.length);
  for (const [i, batch] of batches.entries()) {
    state = addToSequentialSampleRatio(state, readNumbers(batch, 'batch'), options);
    const look = expected[i]!;
    differences.equal(`counts ${i}`, state.counts, look.counts);
    differences.number(`evidence ${i}`, state.logBayesFactor, readNumber(look.logBayesFactor, 'logBayesFactor'));
    differences.number(`p-value ${i}`, state.pValue, readNumber(look.pValue, 'pValue'));
  }
  return differences.verdict();
}
