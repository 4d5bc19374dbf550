// Tests the rules that a definition must meet in itself, and among the experiments of its layer.
import { expect, test } from 'vitest';
import type { Experiment } from './experiment.ts';
import { sampleExperiment, sampleVariant, treatmentId } from './experiment-samples.ts';
import { asExperimentKey, asHoldoutId, asLayerId, asVariantId } from './ids.ts';
import { listLayerConflicts, validateExperiment } from './validate-experiment.ts';

const elsewhere = asVariantId('99999999-9999-5999-8999-999999999999');

test('a complete experiment has no problems', () => {
  const whole = sampleExperiment({
    coverage: 2_500,
    targeting: { country: { $in: ['NO', 'SE'] } },
    layer: { layerId: asLayerId('page'), start: 0, end: 5_000 },
    holdout: { holdoutId: asHoldoutId('h'), share: 100 },
    forcedVariants: { tester: treatmentId },
    startsAt: '2026-01-05T09:00:00+01:00',
    endsAt: '2026-01-05T09:00:00Z',
  });
  expect(validateExperiment(whole)).toEqual([]);
});

test('allocations may sum to less than 1: the rest is not in the experiment', () => {
  const variants = [
    sampleVariant({ allocation: 1 }),
    sampleVariant({ name: 'b', variantId: treatmentId, isControl: false, allocation: 0 }),
  ];
  expect(validateExperiment(sampleExperiment({ variants }))).toEqual([]);
});

test.each<[string, Partial<Experiment>, string, string]>([
  [
    'allocations above 1',
    { variants: [sampleVariant({ allocation: 5_001 }), sampleVariant({ name: 'b', isControl: false })] },
    'variants',
    'allocations sum to 1.0001; they may sum to at most 1',
  ],
  [
    'an allocation that is no basis points',
    { variants: [sampleVariant({ allocation: 0.5 })] },
    'variants[0].allocation',
    'not 0.5',
  ],
  ['a negative coverage', { coverage: -1 }, 'coverage', 'must be 0..10000'],
  [
    'a holdout above everybody',
    { holdout: { holdoutId: asHoldoutId('h'), share: 10_001 } },
    'holdout.share',
    'must be 0..10000',
  ],
  ['no variant', { variants: [] }, 'variants', 'at least one'],
  [
    'two controls',
    { variants: [sampleVariant(), sampleVariant({ name: 'b' })] },
    'variants',
    'one variant may be the control',
  ],
  [
    'two variants of one name',
    { variants: [sampleVariant(), sampleVariant({ isControl: false })] },
    'variants[1].name',
    'another variant',
  ],
  ['a variant without a name', { variants: [sampleVariant({ name: '' })] }, 'variants[0].name', 'needs a name'],
  ['a test unit of no variant', { forcedVariants: { tester: elsewhere } }, 'forcedVariants.tester', 'no variant'],
  [
    'a winner that is no variant',
    { serving: { mode: 'all_to', variantId: elsewhere } },
    'serving.variantId',
    'no variant',
  ],
  ['a time without a zone', { startsAt: '2026-01-05T09:00:00' }, 'startsAt', 'with a zone'],
  [
    'an end at the start',
    { startsAt: '2026-01-05T09:00:00Z', endsAt: '2026-01-05T10:00:00+01:00' },
    'endsAt',
    'must be after',
  ],
  ['an unknown operator', { targeting: { age: { $above: 3 } } }, 'targeting.age.$above', 'unknown operator'],
  ['an empty layer range', { layer: { layerId: asLayerId('l'), start: 5, end: 5 } }, 'layer', '[5, 5)'],
])('%s is a problem with its place', (_, overrides, path, message) => {
  expect(validateExperiment(sampleExperiment(overrides))).toContainEqual({
    path,
    message: expect.stringContaining(message),
  });
});

test('a range of a layer is kept from others until the experiment is completed', () => {
  const inLayer = (key: string, start: number, end: number, status: Experiment['status'] = 'running') =>
    sampleExperiment({
      experimentKey: asExperimentKey(key),
      status,
      layer: { layerId: asLayerId('page'), start, end },
    });
  const others = [
    inLayer('left', 0, 2_000),
    inLayer('draft', 3_000, 4_000, 'draft'),
    inLayer('paused', 5_000, 6_000, 'paused'),
    inLayer('completed', 0, 10_000, 'completed'),
    sampleExperiment({ experimentKey: asExperimentKey('no layer') }),
    sampleExperiment({
      experimentKey: asExperimentKey('other layer'),
      layer: { layerId: asLayerId('other'), start: 0, end: 10_000 },
    }),
  ];
  expect(listLayerConflicts(inLayer('new', 1_999, 5_001), others)).toEqual(['left', 'draft', 'paused']);
  expect(listLayerConflicts(inLayer('new', 2_000, 3_000), others)).toEqual([]);
  // Another iteration of the same key: the last one is completed before it starts.
  expect(listLayerConflicts(inLayer('left', 0, 2_000), others)).toEqual([]);
});
