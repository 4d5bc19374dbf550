// Tests which commands an experiment accepts in which state, and what it becomes.
import { describe, expect, test } from 'vitest';
import { type Experiment, type ExperimentStatus, experimentStatuses, type Serving } from './experiment.ts';
import { sampleExperiment, treatmentId } from './experiment-samples.ts';
import { asVariantId } from './ids.ts';
import { type LifecycleCommand, planLifecycleCommand } from './lifecycle.ts';

const off: Serving = { mode: 'off' };
const asAssigned: Serving = { mode: 'as_assigned' };
const toTreatment: Serving = { mode: 'all_to', variantId: treatmentId };

type Outcome = { status: ExperimentStatus; serving: Serving } | 'unchanged' | 'refused';

function outcomeOf(experiment: Partial<Experiment>, command: LifecycleCommand): Outcome {
  const plan = planLifecycleCommand(sampleExperiment(experiment), command);
  return plan.status === 'allowed' ? { status: plan.next.status, serving: plan.next.serving } : plan.status;
}

/** For each command, the states that it is allowed in and what they become; every other state refuses it. */
const allowed: readonly [LifecycleCommand, Partial<Record<ExperimentStatus, Outcome>>][] = [
  [{ kind: 'start' }, { draft: { status: 'running', serving: asAssigned }, running: 'unchanged' }],
  [{ kind: 'pause' }, { running: { status: 'paused', serving: asAssigned }, paused: 'unchanged' }],
  [{ kind: 'resume' }, { paused: { status: 'running', serving: asAssigned }, running: 'unchanged' }],
  [
    { kind: 'archive' },
    {
      draft: { status: 'archived', serving: asAssigned },
      completed: { status: 'archived', serving: asAssigned },
      archived: 'unchanged',
    },
  ],
  [
    { kind: 'rollback' },
    {
      running: { status: 'running', serving: off },
      paused: { status: 'paused', serving: off },
      completed: { status: 'completed', serving: off },
    },
  ],
  [
    { kind: 'promote', variantId: treatmentId },
    {
      running: { status: 'running', serving: toTreatment },
      paused: { status: 'paused', serving: toTreatment },
      completed: { status: 'completed', serving: toTreatment },
    },
  ],
  [
    { kind: 'complete', winner: treatmentId },
    {
      running: { status: 'completed', serving: toTreatment },
      paused: { status: 'completed', serving: toTreatment },
    },
  ],
  [
    { kind: 'complete', winner: null },
    { running: { status: 'completed', serving: off }, paused: { status: 'completed', serving: off } },
  ],
];

describe.each(allowed)('%o', (command, outcomes) => {
  test.each(experimentStatuses)('of a %s experiment', (status) => {
    expect(outcomeOf({ status }, command)).toEqual(outcomes[status] ?? 'refused');
  });
});

test('restoring undoes a rollback or a promotion while the experiment goes on', () => {
  for (const serving of [off, toTreatment]) {
    expect(outcomeOf({ serving }, { kind: 'restore' })).toEqual({ status: 'running', serving: asAssigned });
    expect(outcomeOf({ status: 'completed', serving }, { kind: 'restore' })).toBe('refused');
  }
  expect(outcomeOf({}, { kind: 'restore' })).toBe('unchanged');
});

test('pausing leaves what is delivered, and stopping delivery leaves enrolment', () => {
  expect(outcomeOf({ serving: toTreatment }, { kind: 'pause' })).toEqual({ status: 'paused', serving: toTreatment });
  expect(outcomeOf({}, { kind: 'rollback' })).toEqual({ status: 'running', serving: off });
});

test('completing without a winner leaves a promoted variant delivered', () => {
  const completed = { status: 'completed', serving: toTreatment };
  expect(outcomeOf({ serving: toTreatment }, { kind: 'complete', winner: null })).toEqual(completed);
  expect(outcomeOf({ status: 'completed', serving: toTreatment }, { kind: 'complete', winner: null })).toBe(
    'unchanged',
  );
});

test('a change is the next version, and changes nothing else', () => {
  const experiment = sampleExperiment({ version: 6 });
  const plan = planLifecycleCommand(experiment, { kind: 'pause' });
  expect(plan).toEqual({ status: 'allowed', next: { ...experiment, status: 'paused', version: 7 } });
});

test('a variant of another experiment is neither promoted nor a winner', () => {
  const variantId = asVariantId('99999999-9999-5999-8999-999999999999');
  expect(outcomeOf({}, { kind: 'promote', variantId })).toBe('refused');
  expect(outcomeOf({}, { kind: 'complete', winner: variantId })).toBe('refused');
});

test('a refusal names the experiment and its state and says what to do', () => {
  const plan = planLifecycleCommand(sampleExperiment({ status: 'completed' }), { kind: 'resume' });
  expect(plan).toEqual({
    status: 'refused',
    message:
      'cannot resume experiment checkout-button (iteration 1): it is completed; ' +
      'promote a variant, roll it back or archive it; to run it again, start a new iteration',
  });
});
