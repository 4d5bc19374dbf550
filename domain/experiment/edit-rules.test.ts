// Tests what may be edited in which state, and how a new iteration begins.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planEdit, planIteration } from './edit-rules.ts';
import { type Experiment, experimentStatuses } from './experiment.ts';
import { controlId, sampleExperiment, sampleVariant, treatmentId } from './experiment-samples.ts';
import { asExperimentId, asHoldoutId, asLayerId, asUnitType } from './ids.ts';

const [control, treatment] = sampleExperiment().variants;

/** An edit of every field that is not given by the key or changed by commands. */
const edits: { [Name in string]: Partial<Experiment> } = {
  name: { name: 'Another name' },
  hypothesis: { hypothesis: 'It helps' },
  owner: { owner: 'web' },
  metrics: { metrics: { primary: 'clicks' } },
  'the end': { endsAt: '2030-01-01T00:00:00.000Z' },
  ramp: { ramp: { steps: [1] } },
  'test units': { forcedVariants: { tester: treatmentId } },
  store_required: { storeRequired: true },
  'higher coverage': { coverage: 6_000 },
  'lower coverage': { coverage: 4_000 },
  allocations: { variants: [sampleVariant({ allocation: 4_000 }), treatment!] },
  'the order of variants': { variants: [treatment!, control!] },
  'a config': { variants: [control!, { ...treatment!, config: { params: { n: 2 } } }] },
  'the control': { variants: [{ ...control!, isControl: false }, treatment!] },
  'another variant': { variants: [...sampleExperiment().variants, sampleVariant({ name: 'third', allocation: 0 })] },
  'one variant less': { variants: [control!] },
  'the unit type': { unitType: asUnitType('device') },
  targeting: { targeting: { country: 'NO' } },
  layer: { layer: { layerId: asLayerId('l'), start: 0, end: 1 } },
  holdout: { holdout: { holdoutId: asHoldoutId('h'), share: 1 } },
  exposure: { exposure: 'implicit' },
  'the start': { startsAt: '2020-01-01T00:00:00.000Z' },
};
const descriptive = ['name', 'hypothesis', 'owner'];
const operational = [...descriptive, 'metrics', 'the end', 'ramp', 'test units', 'store_required', 'higher coverage'];

describe.each(experimentStatuses)('an experiment that is %s', (status) => {
  const current = sampleExperiment({ status, coverage: 5_000, version: 3 });
  const allowedEdits = {
    draft: Object.keys(edits),
    running: operational,
    paused: operational,
    completed: descriptive,
    archived: [] as string[],
  }[status];

  test.each(Object.entries(edits))('and an edit of %s', (name, edit) => {
    const plan = planEdit(current, { ...current, ...edit });
    expect(plan.status).toBe(allowedEdits.includes(name) ? 'allowed' : 'refused');
    if (plan.status === 'allowed') {
      expect(plan.next).toEqual({ ...current, ...edit, version: 4 });
      expect(plan.changes.length).toBeGreaterThan(0);
    }
  });

  test.each<[string, Partial<Experiment>]>([
    ['its id', { experimentId: asExperimentId('00000000-0000-5000-8000-000000000000') }],
    ['its iteration', { iteration: 2 }],
    ['its status', { status: status === 'draft' ? 'running' : 'draft' }],
    ['what it serves', { serving: { mode: 'all_to', variantId: controlId } }],
  ])('never has %s edited', (_, edit) => {
    expect(planEdit(current, { ...current, ...edit }).status).toBe('refused');
  });

  test('is unchanged by an equal definition, whatever version that says', () => {
    expect(planEdit(current, { ...current, version: 99 })).toEqual({ status: 'unchanged' });
  });
});

test('coverage of a running experiment only ever grows', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }), (before, after) => {
      const current = sampleExperiment({ coverage: before });
      const { status } = planEdit(current, { ...current, coverage: after });
      expect(status).toBe(after > before ? 'allowed' : after === before ? 'unchanged' : 'refused');
    }),
  );
});

test('the refusal of a frozen field says where it is and how to start a new iteration', () => {
  const current = sampleExperiment({ iteration: 2 });
  expect(planEdit(current, { ...current, ...edits.allocations })).toEqual({
    status: 'refused',
    problems: [
      {
        path: 'variants[0].allocation',
        message:
          'variants are frozen while the experiment is running, because results and stored assignments depend on it: ' +
          'complete this iteration and apply the change with `iteration: 3`, which has a new id and a new randomization and carries no assignments over',
      },
    ],
  });
});

test('the refusal of a lower coverage says how to stop enrolment or delivery instead', () => {
  const current = sampleExperiment({ coverage: 5_000 });
  expect(planEdit(current, { ...current, coverage: 2_500 })).toMatchObject({
    problems: [{ path: 'coverage', message: expect.stringMatching(/0\.5 to 0\.25.*pause.*roll back/) }],
  });
});

describe('the next iteration', () => {
  const restarted = (iteration: number) =>
    sampleExperiment({ iteration, experimentId: asExperimentId('00000000-0000-5000-8000-000000000002'), version: 7 });

  test.each(['completed', 'archived'] as const)('starts as a draft when the last one is %s', (status) => {
    const plan = planIteration(sampleExperiment({ status, serving: { mode: 'off' } }), restarted(2));
    expect(plan).toMatchObject({
      status: 'allowed',
      next: { iteration: 2, version: 1, status: 'draft', serving: { mode: 'as_assigned' } },
    });
  });

  test.each([
    ['draft', 'still a draft: edit it, or archive it first'],
    ['running', 'complete it first'],
    ['paused', 'complete it first'],
  ] as const)('waits while the last one is %s', (status, advice) => {
    expect(planIteration(sampleExperiment({ status }), restarted(2))).toMatchObject({
      status: 'refused',
      problems: [{ path: 'iteration', message: expect.stringContaining(advice) }],
    });
  });

  test('has the next number', () => {
    expect(planIteration(sampleExperiment({ status: 'completed' }), restarted(3))).toMatchObject({
      problems: [{ path: 'iteration', message: 'the next iteration of checkout-button is 2, not 3' }],
    });
  });
});
