// Tests what a look at a promotion decides, and that no course of looks ever breaks the rules of a ramp.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideLook, type GuardrailState, type LookState } from './decide-look.ts';
import { defaultRampPlan } from './ramp-plan.ts';

const ready: LookState = {
  status: 'running',
  serving: 'as_assigned',
  plan: defaultRampPlan,
  share: 100,
  units: { control: 100, candidate: 100 },
  secondsInStep: 3_600,
  latch: null,
  unwatched: null,
  guardrails: [{ metric: 'latency', state: 'open', text: 'not shown to hold yet' }],
  sampleRatio: null,
  isApproved: false,
};
const guardrail = (state: GuardrailState['state']): Partial<LookState> => ({
  guardrails: [{ metric: 'latency', state, text: 'so it is' }],
});

describe('a look', () => {
  test('takes the next step when all is as it should be, and only that one', () => {
    expect(decideLook(ready)).toEqual({ action: 'step', share: 500 });
    expect(decideLook({ ...ready, share: 500 })).toEqual({ action: 'step', share: 1_000 });
  });

  test.each<[string, Partial<LookState>, string]>([
    ['the experiment is paused', { status: 'paused' }, 'is paused'],
    ['nobody watches', { unwatched: 'guardrail-monitor rests' }, 'guardrail-monitor rests'],
    ['a guardrail cannot be judged', guardrail('unknown'), 'guardrail latency cannot be judged: so it is'],
    ['a guardrail is broken and not acted on yet', guardrail('broken'), 'guardrail latency is broken'],
    ['the split is wrong', { sampleRatio: 'sample ratio mismatch' }, 'sample ratio mismatch'],
    ['control has few units', { units: { control: 99, candidate: 100 } }, 'control has met 99 new units'],
    ['the candidate has few units', { units: { control: 100, candidate: 0 } }, 'candidate has met 0 new units'],
    ['the step is young', { secondsInStep: 3_599.5 }, 'the step has lasted 3599 of 3600 s'],
  ])('waits while %s', (_, change, reason) => {
    expect(decideLook({ ...ready, ...change })).toEqual({ action: 'wait', reasons: [expect.stringContaining(reason)] });
  });

  test('names every reason at once', () => {
    const decision = decideLook({ ...ready, secondsInStep: 0, units: { control: 0, candidate: 0 } });
    expect(decision).toMatchObject({ action: 'wait', reasons: { length: 3 } });
  });

  test('holds before the share exceeds what a person has to approve, and goes on afterwards', () => {
    const state = { ...ready, share: 1_000 };
    expect(decideLook(state)).toMatchObject({ action: 'hold' });
    expect(decideLook({ ...state, isApproved: true })).toEqual({ action: 'step', share: 2_500 });
    expect(decideLook({ ...state, plan: { ...defaultRampPlan, holdAbove: null } })).toMatchObject({ action: 'step' });
  });

  test('is done when the last step has what it needs, and not before', () => {
    const state = { ...ready, share: 5_000 };
    expect(decideLook(state)).toMatchObject({ action: 'done' });
    expect(decideLook({ ...state, units: { control: 3, candidate: 100 } })).toMatchObject({ action: 'wait' });
  });

  test.each<Partial<LookState>>([
    { latch: 'the guardrail latency stopped it' },
    { serving: 'off' },
    { serving: 'all_to' },
    { status: 'completed' },
  ])('finds it rolled back: %o', (change) => {
    expect(decideLook({ ...ready, ...change })).toMatchObject({ action: 'rolled-back' });
  });

  test('never lowers the share, skips a step, passes the hold without approval, or steps on bad news', () => {
    const state = fc.record({
      units: fc.record({ control: fc.nat(200), candidate: fc.nat(200) }),
      secondsInStep: fc.nat(7_200),
      latch: fc.option(fc.constant('stopped'), { freq: 20 }),
      unwatched: fc.option(fc.constant('unwatched'), { freq: 10 }),
      guardrails: fc.array(
        fc.record({
          metric: fc.constant('m'),
          text: fc.constant('t'),
          state: fc.constantFrom('holds', 'holds', 'open', 'open', 'broken', 'unknown'),
        }) as fc.Arbitrary<GuardrailState>,
        { maxLength: 2 },
      ),
      isApproved: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(state, { maxLength: 40 }), (states) => {
        let share = 100;
        for (const one of states) {
          const decision = decideLook({ ...ready, ...one, share });
          if (decision.action !== 'step') continue;
          const { steps, holdAbove, minUnits, minSeconds } = defaultRampPlan;
          expect(decision.share).toBe(steps[steps.indexOf(share) + 1]);
          expect(decision.share <= holdAbove! || one.isApproved).toBe(true);
          expect(one.latch ?? one.unwatched).toBeNull();
          expect(one.guardrails.every(({ state: of }) => of === 'holds' || of === 'open')).toBe(true);
          expect(Math.min(one.units.control, one.units.candidate)).toBeGreaterThanOrEqual(minUnits);
          expect(one.secondsInStep).toBeGreaterThanOrEqual(minSeconds);
          share = decision.share;
        }
      }),
    );
  });
});
