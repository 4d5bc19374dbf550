// Definitions keep everything that evaluation reads on their way to a client.
import { expect, test } from 'vitest';
import { fromClientDefinition, toClientDefinition } from './client-definition.ts';
import { sampleExperiment, treatmentId } from './experiment-samples.ts';
import { asHoldoutId, asLayerId } from './ids.ts';

const full = sampleExperiment({
  coverage: 3_333,
  serving: { mode: 'all_to', variantId: treatmentId },
  targeting: { country: { $in: ['DE', 'FR'] } },
  layer: { layerId: asLayerId('checkout'), start: 100, end: 5_000 },
  holdout: { holdoutId: asHoldoutId('global-2026'), share: 500 },
  forcedVariants: { 'tester-1': treatmentId },
  startsAt: '2026-01-01T01:00:00+01:00',
  endsAt: '2026-12-31T00:00:00Z',
});

test('what a client reads is what the service evaluates', () => {
  const { name, exposure, hypothesis, owner, metrics, analysis, ramp, ...served } = full;
  const text = JSON.stringify(toClientDefinition(full));
  expect(fromClientDefinition(JSON.parse(text))).toEqual({
    ...served,
    startsAt: '2026-01-01T00:00:00.000Z',
    endsAt: '2026-12-31T00:00:00.000Z',
  });
});

test('an experiment that needs the store is sent without ranges', () => {
  const text = JSON.stringify(toClientDefinition({ ...full, storeRequired: true }));
  expect(text).not.toMatch(/coverage|allocation/);
  const read = fromClientDefinition(JSON.parse(text));
  expect(read).toMatchObject({ storeRequired: true, coverage: 0 });
  expect(read.variants.map(({ allocation }) => allocation)).toEqual([0, 0]);
});
