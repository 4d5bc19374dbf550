// The document form of a definition says everything: what is read from the topic is what was stored.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { controlId, sampleExperiment, sampleVariant, treatmentId } from '#domain/experiment/experiment-samples.ts';
import { asHoldoutId, asLayerId } from '#domain/experiment/ids.ts';
import { fromDefinitionDocument, toDefinitionDocument } from './definition-document.ts';

const basisPoints = fc.integer({ min: 0, max: 10_000 });
const experiment: fc.Arbitrary<Partial<Experiment>> = fc.record({
  coverage: basisPoints,
  status: fc.constantFrom('draft', 'running', 'paused', 'completed', 'archived'),
  serving: fc.constantFrom(
    { mode: 'as_assigned' } as const,
    { mode: 'off' } as const,
    { mode: 'all_to', variantId: treatmentId } as const,
  ),
  variants: basisPoints.map((allocation) => [
    sampleVariant({ allocation, config: { params: { depth: [1, null, { ä: 'ö' }] } } }),
    sampleVariant({ variantId: treatmentId, name: 'tränad', allocation: 10_000 - allocation, isControl: false }),
  ]),
  layer: fc.option(fc.record({ layerId: fc.constant(asLayerId('menú')), start: basisPoints, end: basisPoints })),
  holdout: fc.option(fc.record({ holdoutId: fc.constant(asHoldoutId('全体')), share: basisPoints })),
  forcedVariants: fc.dictionary(fc.string({ minLength: 1 }), fc.constantFrom(controlId, treatmentId)),
  targeting: fc.constantFrom(null, { country: { $in: ['DE'] } }),
  startsAt: fc.constantFrom(null, '2026-05-01T00:00:00.000Z'),
  storeRequired: fc.boolean(),
  hypothesis: fc.option(fc.string()),
  analysis: fc.constantFrom({}, { test: 'fixed' as const, alpha: 0.1, segments: ['region'] }),
  metrics: fc.constantFrom(
    {},
    { primary: 'revenue', guardrails: [{ metric: 'x', direction: 'increase', bound: 0.1 }] },
  ),
  ramp: fc.constantFrom(null, { steps: [0.1, 0.5] }),
}) as fc.Arbitrary<Partial<Experiment>>;

test('a definition survives its document and JSON', () => {
  fc.assert(
    fc.property(experiment, (overrides) => {
      const stored = sampleExperiment(overrides);
      const document = JSON.parse(JSON.stringify(toDefinitionDocument(stored)));
      expect(fromDefinitionDocument(document)).toEqual(stored);
    }),
    { seed: 7, numRuns: 500 },
  );
});
