// Checks when definitions are read: for unknown experiments at most once a second, and now and then for changed drafts.
import { expect, it } from 'vitest';
import { createExposureRules } from './exposure-rules.ts';

function createHarness() {
  const state = { now: 0, queries: 0, rows: [{ id: 'a', implicit: true }] };
  const pool = {
    query: async () => {
      state.queries += 1;
      return { rows: state.rows };
    },
  };
  return { state, rules: createExposureRules({ pool: pool as never, now: () => state.now }) };
}

it('reads once for known experiments, and treats unknown ones as explicit', async () => {
  const { state, rules } = createHarness();
  await rules.refresh(['a']);
  state.now = 5_000;
  await rules.refresh(['a']);
  expect(state.queries).toBe(1);
  expect([rules.isImplicit('a'), rules.isImplicit('b')]).toEqual([true, false]);
});

it('asks again for an unknown experiment, at most once a second', async () => {
  const { state, rules } = createHarness();
  await rules.refresh(['b']);
  state.now = 999;
  await rules.refresh(['b']);
  expect(state.queries).toBe(1);
  state.rows = [{ id: 'b', implicit: true }];
  state.now = 1_000;
  await rules.refresh(['b']);
  expect(state.queries).toBe(2);
  expect(rules.isImplicit('b')).toBe(true);
});

it('reads again after half a minute, because a draft may change', async () => {
  const { state, rules } = createHarness();
  await rules.refresh(['a']);
  state.rows = [{ id: 'a', implicit: false }];
  state.now = 30_000;
  await rules.refresh(['a']);
  expect(rules.isImplicit('a')).toBe(false);
});
