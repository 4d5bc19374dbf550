// Runs the statistics vectors beside this project, and checks that a changed expectation does not pass.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { confidenceRecordedVectors } from './confidence-recorded.ts';
import { gbstatsGridVectors } from './gbstats-grid.ts';
import { gbstatsPowerVectors } from './gbstats-power.ts';
import { gbstatsRecordedVectors } from './gbstats-recorded.ts';
import { offPolicyVectors } from './off-policy.ts';
import { posthogCupedVectors } from './posthog-cuped.ts';
import { sequentialSrmVectors } from './sequential-srm.ts';

const FOLDER = '../shared/vectors/statistics';

const kinds = [
  confidenceRecordedVectors,
  gbstatsGridVectors,
  gbstatsPowerVectors,
  gbstatsRecordedVectors,
  offPolicyVectors,
  posthogCupedVectors,
  sequentialSrmVectors,
];

/**
 * Cases that have no number under `expected`: answers beside their input, and refusals, whose neutral numbers are not
 * compared, since a refusal here has no number at all.
 */
const UNCHANGED: Readonly<Record<string, number>> = {
  'gbstats-power.json': 4,
  'gbstats-recorded.json': 12,
  'sequential-srm.json': 1,
};

/** Adds a tenth to every number that is expected, and one where a tenth of it would be nothing. */
function withOtherExpectations(value: unknown, expected = false): unknown {
  if (Array.isArray(value)) return value.map((item) => withOtherExpectations(item, expected));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, withOtherExpectations(item, expected || key === 'expected')]),
    );
  }
  return expected && typeof value === 'number' ? value + 0.1 * Math.abs(value) + 0.1 : value;
}

describe.each(kinds)('$fileName', (kind) => {
  const content: unknown = JSON.parse(readFileSync(join(FOLDER, kind.fileName), 'utf8'));

  it('passes', () => {
    const report = kind.run(content);
    expect(report.failures).toEqual([]);
    expect(report.passed).toBeGreaterThan(3);
  });

  it('fails when other numbers are expected', () => {
    const report = kind.run(withOtherExpectations(content));
    expect(report.passed).toBe(UNCHANGED[kind.fileName] ?? 0);
    expect(report.failed).toBeGreaterThan(0);
  });
});
