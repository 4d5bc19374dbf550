// Tests when guardrails rest: a slow group, a replay, a rebuild, a start in the middle of one.
import { expect, test } from 'vitest';
import { createInputLag } from './input-lag.ts';

function create() {
  let nowMs = 0;
  const lag = createInputLag({ maxLagMs: 30_000, nowMs: () => nowMs });
  const at = (seconds: number, end: bigint, position: bigint | null) => {
    nowMs = seconds * 1_000;
    return lag.observe(
      new Map([
        [0, end],
        [1, 0n],
      ]),
      new Map(position === null ? [] : [[0, position]]),
    ).state;
  };
  return { at };
}

test('a group that keeps up within the limit is current, one that does not is behind', () => {
  const { at } = create();
  expect(at(0, 100n, 100n)).toBe('current');
  expect(at(10, 200n, 100n)).toBe('current');
  expect(at(29, 300n, 150n)).toBe('current');
  // The end of 10 s ago is older than the limit, and everything since is ahead of the group.
  expect(at(41, 400n, 150n)).toBe('behind');
  expect(at(50, 500n, 300n)).toBe('current');
});

test('a replay is noticed at once, and its end as well', () => {
  const { at } = create();
  expect(at(0, 1_000n, 1_000n)).toBe('current');
  expect(at(1, 1_000n, 0n)).toBe('behind');
  expect(at(2, 1_001n, 999n)).toBe('behind');
  expect(at(3, 1_002n, 1_000n)).toBe('current');
});

test('after a start nothing is known: a group without a position, or in the middle of a replay, is behind', () => {
  expect(create().at(0, 10n, null)).toBe('behind');
  expect(create().at(0, 10n, 5n)).toBe('behind');
  expect(create().at(0, 0n, null)).toBe('current');
});
