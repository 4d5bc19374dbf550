// Tests of replay plans: only what Kafka still has, never past unread records unless that is asked for.
import { describe, expect, it } from 'vitest';
import { planReplay } from './plan-replay.ts';

const offsets = new Map([
  [0, { logStart: 10n, highWatermark: 100n }],
  [1, { logStart: 0n, highWatermark: 50n }],
]);
const positions = new Map([
  [0, 80n],
  [1, 50n],
]);
const plan = (targets: [number, bigint][], allowSkip = false) =>
  planReplay({ targets: new Map(targets), positions, offsets, allowSkip });

describe('a replay', () => {
  it('says for each partition how much is read again', () => {
    expect(
      plan([
        [1, 0n],
        [0, 30n],
      ]),
    ).toEqual({
      partitions: [
        { partition: 0, from: 80n, to: 30n, again: 50n },
        { partition: 1, from: 50n, to: 0n, again: 50n },
      ],
      problems: [],
    });
  });

  it.each([
    ['what Kafka has deleted', [[0, 9n]], 'offset 9 is gone, Kafka keeps only from 10'],
    ['what is not there yet', [[1, 51n]], 'beyond the end 50'],
    ['a partition that does not exist', [[7, 0n]], 'partition 7 does not exist'],
    ['unread records left out', [[0, 90n]], '10 unread records from 80 on would be skipped'],
  ] as [string, [number, bigint][], string][])('refuses %s', (_, targets, problem) => {
    expect(plan(targets).problems).toEqual([expect.stringContaining(problem)]);
  });

  it('skips unread records when asked to', () => {
    expect(plan([[0, 90n]], true)).toEqual({
      partitions: [{ partition: 0, from: 80n, to: 90n, again: -10n }],
      problems: [],
    });
  });
});
