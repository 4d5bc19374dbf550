// Tests of a run: every household asks once, a second run repeats the same events, and the command line's effects.

import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import { createFakeWorkloadPort } from '../workload-client/fake-workload-port.ts';
import { collectByVariant, parseDate, parsePositiveInteger } from '../workload-client/workload-arguments.ts';
import { runPlannerTraffic } from './run-planner-traffic.ts';
import { assignHalf, runTraffic, sampleWorld } from './traffic-samples.ts';
import { toVariantEffects } from './variant-effects.ts';

test('asks for every household once, sends what was simulated, and repeats it without a conflict', async () => {
  const world = sampleWorld({ households: 30, days: 10 });
  const port = createFakeWorkloadPort((unit) => assignHalf(unit.unit_id));
  const options = { world, effects: {}, experiments: ['planner-policy'] };
  const first = await runPlannerTraffic(options, port);
  expect(port.actions.filter((action) => action === 'assigned')).toHaveLength(30);
  expect([...port.events.values()]).toEqual(runTraffic({ world }));
  const { control = 0, candidate = 0 } = first.householdsByVariant;
  expect(control).toBeGreaterThan(0);
  expect(control + candidate).toBe(30);
  const again = await runPlannerTraffic(options, port);
  expect(again).toEqual(first);
  expect(again.events.rejected).toBe(0);
});

test('counts households outside every experiment as none', async () => {
  const options = { world: sampleWorld({ households: 3, days: 7 }), effects: {}, experiments: [] };
  expect((await runPlannerTraffic(options, createFakeWorkloadPort())).householdsByVariant).toEqual({ none: 3 });
});

describe('the command line', () => {
  const share = collectByVariant({ least: -0.1, most: 1 });

  test('collects numbers by variant', () => {
    expect(share('b=-0.05', share('a=+0.05'))).toEqual({ a: 0.05, b: -0.05 });
    expect(
      toVariantEffects({ effect: { a: 0.05 }, latencyFactor: { a: 2, b: 3 }, costFactor: undefined, lose: undefined }),
    ).toEqual({ a: { acceptance: 0.05, latencyFactor: 2 }, b: { latencyFactor: 3 } });
  });

  test.each(['a', 'a=', '=1', 'a=x', 'a=2', 'a=1.2.3'])('refuses %j as a number by variant', (text) => {
    expect(() => share(text)).toThrow(InvalidArgumentError);
  });

  test('refuses the same variant twice, numbers that are none and days that are none', () => {
    expect(() => share('a=0.1', { a: 0.2 })).toThrow('a is given twice');
    for (const text of ['0', '-1', '1.5', 'x', ''])
      expect(() => parsePositiveInteger(text)).toThrow(InvalidArgumentError);
    for (const text of ['2026-02-30', '2026-1-5', 'today']) expect(() => parseDate(text)).toThrow(InvalidArgumentError);
    expect([parsePositiveInteger('12'), parseDate('2026-02-28')]).toEqual([12, '2026-02-28']);
  });
});
