// Tests what a definition becomes: created, changed, unchanged or refused, and how far a new policy version may start.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { trafficShareOf } from '#domain/experiment/traffic-share.ts';
import type { DefinitionBody } from './definition-body.ts';
import { type DefinitionPlan, planDefinition } from './plan-definition.ts';
import { capAtStart, findStartRefusal, type ProductionRecord } from './start-limit.ts';

const oldVersion = policyVersionIdOf('planner', 1);
const newVersion = policyVersionIdOf('planner', 2);
const production: ProductionRecord = {
  hasBeenInProduction: (id) => id === oldVersion,
  nameOf: (id) => (id === oldVersion ? 'planner@1' : id === newVersion ? 'planner@2' : id),
};

function bodyOf(overrides: Partial<DefinitionBody> = {}): DefinitionBody {
  return {
    key: 'planner-policy',
    unit_type: 'household',
    variants: [
      { name: 'control', allocation: 0.5, is_control: true, config: { policy_version_id: oldVersion } },
      { name: 'candidate', allocation: 0.5, config: { policy_version_id: newVersion } },
    ],
    ...overrides,
  };
}

function nextOf(plan: DefinitionPlan): Experiment {
  if (plan.status !== 'allowed') throw new Error(`the plan is ${plan.status}`);
  return plan.next;
}

const running = (coverage: number): Experiment => ({
  ...nextOf(planDefinition(bodyOf({ status: 'running' }), [], production)),
  coverage,
});

describe('a policy version that was not in production', () => {
  test('starts at a tenth of traffic, and the plan says so', () => {
    const plan = planDefinition(bodyOf({ status: 'running' }), [], production);
    expect(nextOf(plan)).toMatchObject({ status: 'running', coverage: 2_000 });
    expect(plan.status === 'allowed' && plan.notes).toEqual([
      'coverage starts at 0.2 instead of 1: planner@2 (candidate) would get 0.5 of traffic, and a policy version that has not been ' +
        'in production starts at no more than 0.1. Raise it with `ops experiments coverage`',
    ]);
  });

  test('is not raised by applying the same definition again', () => {
    const plan = planDefinition(bodyOf({ status: 'running', coverage: 1 }), [running(2_000)], production);
    expect(plan).toMatchObject({ status: 'unchanged', notes: [expect.stringContaining('coverage stays at 0.2')] });
  });

  test('keeps what commands have raised it to, and applying neither lowers nor raises that', () => {
    const plan = planDefinition(bodyOf({ coverage: 1 }), [running(6_000)], production);
    expect(plan).toMatchObject({ status: 'unchanged', notes: [expect.stringContaining('coverage stays at 0.6')] });
  });

  test('is capped again when a draft starts', () => {
    const draft = { ...running(10_000), status: 'draft' as const };
    expect(capAtStart(draft, production)).toMatchObject({
      experiment: { coverage: 2_000 },
      notes: [expect.any(String)],
    });
  });

  test('is not raised above its limit, nor delivered to all, before units have been enrolled', () => {
    const opensAt = '2026-03-01T00:00:00.000Z';
    const before = Date.parse(opensAt) - 1;
    const planned = { ...running(2_000), startsAt: opensAt };
    const [control, candidate] = planned.variants;
    const refusalOf = (asked: Parameters<typeof findStartRefusal>[1], nowMs = before): string | null =>
      findStartRefusal(planned, asked, production, nowMs);
    expect(refusalOf({ coverage: 2_001 })).toBe(
      'coverage may be at most 0.2 until the experiment has enrolled units (it opens at 2026-03-01T00:00:00.000Z): ' +
        'candidate points at planner@2, and a policy version that has not been in production starts at no more than 0.1 of traffic',
    );
    expect(refusalOf({ coverage: 2_000 })).toBeNull();
    expect(refusalOf({ deliverToAll: candidate!.variantId })).toContain('candidate cannot be delivered to all until');
    expect(refusalOf({ deliverToAll: control!.variantId })).toBeNull();
    expect(refusalOf({ coverage: 2_001 }, before + 1)).toBeNull();
    expect(refusalOf({ deliverToAll: candidate!.variantId }, before + 1)).toBeNull();
  });

  test('starts as asked when that is little enough', () => {
    const plan = planDefinition(bodyOf({ coverage: 0.15 }), [], production);
    expect(plan).toMatchObject({ next: { coverage: 1_500 }, notes: [] });
  });

  test('gets no more when it is split over several variants', () => {
    const config = { policy_version_id: newVersion };
    const variants = [
      { name: 'one', allocation: 0.25, config },
      { name: 'other', allocation: 0.25, config },
    ];
    const plan = planDefinition(bodyOf({ variants }), [], production);
    expect(plan).toMatchObject({
      next: { coverage: 2_000 },
      notes: [expect.stringContaining('planner@2 (one, other) would get 0.5')],
    });
  });

  test('never starts above the limit, whatever the allocations and the coverage', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }), (allocation, coverage) => {
        const variants = [{ name: 'only', allocation: allocation / 10_000, config: { policy_version_id: newVersion } }];
        const plan = planDefinition(bodyOf({ variants, coverage: coverage / 10_000 }), [], production);
        const next = nextOf(plan);
        expect(trafficShareOf(next.coverage, allocation)).toBeLessThanOrEqual(0.1);
        // As much as is allowed: one basis point more would be asked too much or be above the limit.
        const isWhole = next.coverage === coverage || trafficShareOf(next.coverage + 1, allocation) > 0.1;
        expect(isWhole).toBe(true);
      }),
      { seed: 41 },
    );
  });
});

test('an experiment of production versions starts at the coverage that was asked for', () => {
  const variants = bodyOf().variants.map((variant) => ({ ...variant, config: { policy_version_id: oldVersion } }));
  expect(planDefinition(bodyOf({ variants }), [], production)).toMatchObject({ next: { coverage: 10_000 }, notes: [] });
});

test('repeating a definition changes nothing', () => {
  const created = nextOf(planDefinition(bodyOf(), [], production));
  expect(planDefinition(bodyOf(), [created], production)).toMatchObject({ status: 'unchanged', current: created });
});

test('an allocation of a running experiment is refused with the way to a new iteration', () => {
  const variants = bodyOf().variants.map((variant) => ({ ...variant, allocation: 0.4 }));
  const plan = planDefinition(bodyOf({ variants }), [running(2_000)], production);
  expect(plan).toMatchObject({ status: 'refused' });
  const problem = plan.status === 'refused' ? plan.problems[0] : undefined;
  expect(problem?.field).toBe('variants[0].allocation');
  expect(problem?.message).toContain('`iteration: 2`');
});

test('the next iteration of a completed experiment has new ids, and is refused while the last one runs', () => {
  const first = running(2_000);
  const second = planDefinition(bodyOf({ iteration: 2 }), [{ ...first, status: 'completed' }], production);
  expect(nextOf(second).experimentId).not.toBe(first.experimentId);
  expect(planDefinition(bodyOf({ iteration: 2 }), [first], production)).toMatchObject({
    status: 'refused',
    problems: [{ field: 'iteration', message: expect.stringContaining('complete it first') }],
  });
});

test('allocations above 1 and shares with more than four decimals are invalid', () => {
  const variants = [
    { name: 'control', allocation: 0.6 },
    { name: 'other', allocation: 0.6 },
  ];
  expect(planDefinition(bodyOf({ variants }), [], production)).toMatchObject({
    status: 'invalid',
    problems: [{ field: 'variants', message: expect.stringContaining('allocations sum to 1.2') }],
  });
  expect(planDefinition(bodyOf({ coverage: 0.33333 }), [], production)).toMatchObject({
    status: 'invalid',
    problems: [{ field: 'coverage', message: expect.stringContaining('more than four decimals') }],
  });
});
