// Runs grids of single formulas of gbstats: sequential widths, sample ratios, expected losses.
import { normalParts } from '#domain/statistics/bayesian.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { testSampleRatio } from '#domain/statistics/sample-ratio.ts';
import { sequentialHalfWidth, sequentialOneSidedWidth, sequentialRho } from '#domain/statistics/sequential.ts';
import { createDifferences, type Differences } from './differences.ts';
import { type JsonRecord, readList, readNumber, readNumbers, readRecord } from './json-reader.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

type Formula = (item: JsonRecord, differences: Differences) => void;

const FORMULAS: Readonly<Record<string, Formula>> = {
  sequential_rho(item, differences) {
    const alpha = readNumber(item.alpha, 'alpha');
    const rho = sequentialRho({ alpha, tuningUnits: readNumber(item.N, 'N'), twoSided: item.two_sided === true });
    differences.number('rho', rho, readNumber(item.expected, 'expected'));
  },
  sequential_interval_halfwidth(item, differences) {
    const width = sequentialHalfWidth(widthInput(item, true));
    differences.number('half width', width, readNumber(item.expected, 'expected'));
  },
  sequential_interval_halfwidth_one_sided(item, differences) {
    const width = sequentialOneSidedWidth(widthInput(item, false));
    differences.number('width', width, readNumber(item.expected, 'expected'));
  },
  check_srm(item, differences) {
    const weights = readNumbers(item.weights, 'weights');
    const users = readNumbers(item.users, 'users');
    const result = testSampleRatio(users.map((observed, i) => ({ observed, weight: weights[i]! })));
    // gbstats answers 1 when there is no unit.
    const pValue = isComputed(result) ? result.pValue : result.reason === 'no-data' ? 1 : Number.NaN;
    differences.number('p-value', pValue, readNumber(item.expected, 'expected'));
  },
  bayes_risk(item, differences) {
    const [keep, choose] = readNumbers(item.expected, 'expected');
    const parts = normalParts(readNumber(item.mu, 'mu'), readNumber(item.sigma, 'sigma'));
    differences.number('loss of control', parts.positive, keep!);
    differences.number('loss of treatment', parts.negative, choose!);
  },
};

function widthInput(item: JsonRecord, twoSided: boolean) {
  const alpha = readNumber(item.alpha, 'alpha');
  const tuningUnits = readNumber(item.N, 'N');
  const rho = sequentialRho({ alpha, tuningUnits, twoSided });
  return { variance: readNumber(item.s2, 's2'), units: readNumber(item.n, 'n'), alpha, rho };
}

export const gbstatsGridVectors: VectorKind = {
  fileName: 'gbstats-grid.json',
  run(content) {
    const tally = createVectorTally();
    for (const [name, items] of Object.entries(readRecord(content))) {
      if (typeof items === 'string') continue;
      for (const [i, item] of readList(items, name).entries()) {
        tally.attempt(`${name} #${i}`, () => {
          const formula = FORMULAS[name];
          if (formula === undefined) return 'there is no such formula';
          const differences = createDifferences();
          formula(readRecord(item), differences);
          return differences.verdict();
        });
      }
    }
    return tally.report();
  },
};
