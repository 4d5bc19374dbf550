// Runs the vectors of hashes and targeting beside this project, and checks that another expectation does not pass.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { murmur3Vectors } from './murmur3.ts';
import { targetingVectors } from './targeting.ts';

type HashFile = { rows: Record<string, [seed: number, key: string, hash: number, ...rest: unknown[]][]> };
type TargetingFile = [name: string, condition: object, attributes: object, expected: boolean, ...rest: unknown[]][];

const kinds = [
  {
    name: 'hash',
    kind: murmur3Vectors,
    spoil: ({ rows }: HashFile): unknown => ({
      rows: Object.fromEntries(
        Object.entries(rows).map(([group, cases]) => [
          group,
          cases.map(([seed, key, hash, ...rest]) => [seed, key, hash ^ 1, ...rest]),
        ]),
      ),
    }),
  },
  {
    name: 'targeting',
    kind: targetingVectors,
    spoil: (rows: TargetingFile): unknown =>
      rows.map(([name, condition, attributes, expected, ...rest]) => [name, condition, attributes, !expected, ...rest]),
  },
];

describe.each(kinds)('$name', ({ name, kind, spoil }) => {
  const content = JSON.parse(readFileSync(`../shared/vectors/${name}/${kind.fileName}`, 'utf8'));

  it('passes', () => {
    const report = kind.run(content);
    expect(report.failures).toEqual([]);
    expect(report.passed).toBeGreaterThan(100);
  });

  it('fails in every case when something else is expected', () => {
    const { passed: count } = kind.run(content);
    expect(kind.run(spoil(content))).toMatchObject({ passed: 0, failed: count });
  });
});
