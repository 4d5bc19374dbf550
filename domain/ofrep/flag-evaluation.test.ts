// Tests of the translation to OFREP: every reason has a word of the protocol, and a unit without a variant has no value.
import { expect, test } from 'vitest';
import { type FlagDecision, isListedFlag, toFlagEvaluation, toFlagReason } from './flag-evaluation.ts';

const decision = (overrides: Partial<FlagDecision> = {}): FlagDecision => ({
  experimentKey: 'checkout-button',
  experimentId: '6f1e0f52-5b6f-5c7e-9a47-3b1d2c4e5f60',
  experimentVersion: 3,
  reason: 'assigned',
  served: { variantId: 'v-1', variantName: 'treatment', config: { params: { color: 'green' } } },
  assignedVariantId: 'v-1',
  isStored: true,
  ...overrides,
});

test('a delivered variant is the value as a whole, with the facts behind it as metadata', () => {
  expect(toFlagEvaluation(decision())).toEqual({
    key: 'checkout-button',
    reason: 'SPLIT',
    variant: 'treatment',
    value: { params: { color: 'green' } },
    metadata: {
      experiment_id: '6f1e0f52-5b6f-5c7e-9a47-3b1d2c4e5f60',
      experiment_version: 3,
      reason: 'assigned',
      stored: true,
      variant_id: 'v-1',
      assigned_variant_id: 'v-1',
    },
  });
});

test('a unit without a variant has neither value nor variant, so that clients use their default', () => {
  const evaluation = toFlagEvaluation(
    decision({ reason: 'outside-coverage', served: null, assignedVariantId: null, isStored: null }),
  );
  expect(evaluation).not.toHaveProperty('value');
  expect(evaluation).not.toHaveProperty('variant');
  expect(evaluation.reason).toBe('SPLIT');
  expect(Object.keys(evaluation.metadata).sort()).toEqual(['experiment_id', 'experiment_version', 'reason']);
});

test.each([
  ['assigned', 'SPLIT'],
  ['forced', 'TARGETING_MATCH'],
  ['all-to', 'STATIC'],
  ['off', 'DISABLED'],
  ['paused', 'DISABLED'],
  ['not-targeted', 'UNKNOWN'],
  ['a reason of a later release', 'UNKNOWN'],
])('%s is %s', (reason, expected) => {
  expect(toFlagReason(reason)).toBe(expected);
});

test('a list of flags does not tell of drafts, except to test units that are served one', () => {
  expect(isListedFlag(decision({ reason: 'draft', served: null }))).toBe(false);
  expect(isListedFlag(decision({ reason: 'forced' }))).toBe(true);
  expect(isListedFlag(decision({ reason: 'paused', served: null }))).toBe(true);
});
