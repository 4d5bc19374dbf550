// Runs logged rounds through the off-policy estimators and compares values, effective sample size and largest weight.
import { type OffPolicyEstimator, overlapDiagnostics } from '#domain/statistics/off-policy/estimators.ts';
import { type LoggedRounds, prepareRounds } from '#domain/statistics/off-policy/logged-rounds.ts';
import { estimatePolicyValue } from '#domain/statistics/off-policy/policy-value.ts';
import { createDifferences, expectComputed } from './differences.ts';
import { type JsonRecord, readList, readNumber, readNumbers, readRecord } from './json-reader.ts';
import { createVectorTally, type VectorKind, type VectorTally } from './vector-kind.ts';

/** Names of the reference with a limit after the last underscore, such as `dros_3.0`. */
const WITH_LIMIT: Readonly<Record<string, 'clipped-ips' | 'switch-doubly-robust' | 'shrinkage-doubly-robust'>> = {
  ipw_clip: 'clipped-ips',
  switch_dr: 'switch-doubly-robust',
  dros: 'shrinkage-doubly-robust',
};

const WITHOUT_LIMIT: Readonly<Record<string, OffPolicyEstimator>> = {
  ipw: { kind: 'ips' },
  snipw: { kind: 'snips' },
  dm: { kind: 'direct-method' },
  dr: { kind: 'doubly-robust' },
  sndr: { kind: 'self-normalized-doubly-robust' },
  replay_deterministic: { kind: 'replay' },
};

export const offPolicyVectors: VectorKind = {
  fileName: 'off-policy.json',
  run(content) {
    const tally = createVectorTally();
    for (const [i, item] of readList(readRecord(content).cases, 'cases').entries()) runCase(i, readRecord(item), tally);
    return tally.report();
  },
};

function runCase(index: number, fields: JsonRecord, tally: VectorTally): void {
  const rows = (name: string): number[][] => readList(fields[name], name).map((row) => readNumbers(row, name));
  const rounds: LoggedRounds = {
    rewards: readNumbers(fields.reward, 'reward'),
    actions: readNumbers(fields.action, 'action'),
    loggingProbabilities: readNumbers(fields.pscore, 'pscore'),
    targetProbabilities: rows('action_dist'),
    expectedRewards: rows('q_hat'),
  };
  const deterministic = { ...rounds, targetProbabilities: rounds.targetProbabilities.map(mostLikely) };
  for (const [name, expected] of Object.entries(readRecord(fields.expected, 'expected'))) {
    // The value that the data were made from is what the estimates are near, not what they are.
    if (name === 'true_value') continue;
    tally.attempt(`case ${index} ${name}`, () => {
      const differences = createDifferences();
      const used = name.startsWith('replay') ? deterministic : rounds;
      differences.number(name, valueNamed(name, used), readNumber(expected, name));
      return differences.verdict();
    });
  }
}

/** The policy that always takes the most likely action; the first one of several. */
function mostLikely(probabilities: readonly number[]): number[] {
  const best = probabilities.indexOf(Math.max(...probabilities));
  return probabilities.map((_, action) => (action === best ? 1 : 0));
}

function valueNamed(name: string, rounds: LoggedRounds): number {
  if (name === 'ess' || name === 'max_weight') {
    const prepared = prepareRounds(rounds);
    if ('status' in prepared) throw new Error(prepared.detail);
    const overlap = overlapDiagnostics(prepared);
    return name === 'ess' ? overlap.effectiveSampleSize : overlap.largestWeight;
  }
  return expectComputed(estimatePolicyValue(rounds, estimatorNamed(name))).value;
}

function estimatorNamed(name: string): OffPolicyEstimator {
  const plain = WITHOUT_LIMIT[name];
  if (plain !== undefined) return plain;
  const cut = name.lastIndexOf('_');
  const kind = WITH_LIMIT[name.slice(0, cut)];
  if (kind === undefined) throw new TypeError(`there is no estimator ${name}`);
  return { kind, lambda: Number(name.slice(cut + 1)) };
}
