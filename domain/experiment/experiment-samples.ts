// A complete experiment for tests, of which each test overrides what it is about.

import type { StoredAssignment } from './evaluate.ts';
import type { Experiment, Variant } from './experiment.ts';
import { asExperimentId, asExperimentKey, asUnitType, asVariantId, type VariantId } from './ids.ts';

export const controlId = asVariantId('11111111-1111-5111-8111-111111111111');
export const treatmentId = asVariantId('22222222-2222-5222-8222-222222222222');

export function sampleVariant(overrides: Partial<Variant> = {}): Variant {
  return { variantId: controlId, name: 'control', allocation: 5_000, isControl: true, config: {}, ...overrides };
}

/** A running experiment over users, two equal variants at full coverage, without any restriction. */
export function sampleExperiment(overrides: Partial<Experiment> = {}): Experiment {
  return {
    experimentId: asExperimentId('6f1e0f52-5b6f-5c7e-9a47-3b1d2c4e5f60'),
    experimentKey: asExperimentKey('checkout-button'),
    iteration: 1,
    version: 1,
    status: 'running',
    serving: { mode: 'as_assigned' },
    unitType: asUnitType('user'),
    coverage: 10_000,
    variants: [sampleVariant(), sampleVariant({ variantId: treatmentId, name: 'treatment', isControl: false })],
    targeting: null,
    layer: null,
    holdout: null,
    forcedVariants: {},
    startsAt: null,
    endsAt: null,
    storeRequired: false,
    name: 'Checkout button',
    exposure: 'explicit',
    hypothesis: null,
    owner: null,
    metrics: {},
    analysis: {},
    ramp: null,
    ...overrides,
  };
}

export function sampleStoredAssignment(variantId: VariantId = treatmentId): StoredAssignment {
  return { variantId, bucket: 7_777, probability: 0.5, enrolmentShare: 1, source: 'hashed' };
}
