// Tests that buckets are deterministic, uniform, and independent of each other across experiments, layers and holdouts.
import { expect, test } from 'vitest';
import { asExperimentId, asExperimentKey, asHoldoutId, asLayerId, asUnitId } from '#domain/experiment/ids.ts';
import {
  BUCKET_COUNT,
  type BucketOfUnit,
  bucketOf,
  createExperimentBucket,
  createHoldoutBucket,
  createLayerBucket,
} from './bucket.ts';
import { experimentIdOf } from './deterministic-ids.ts';
import { murmur3 } from './murmur3.ts';

const experimentIds = ['checkout-button', 'planner-model', 'search-ranking', 'café'].map((key) =>
  experimentIdOf(asExperimentKey(key), 1),
);

/** Upper 0.1 % point of chi-square by Wilson and Hilferty (1931); 3.0902 is that point of the normal distribution. */
function chiSquareLimit(degreesOfFreedom: number): number {
  const spread = 2 / (9 * degreesOfFreedom);
  return degreesOfFreedom * (1 - spread + 3.0902 * Math.sqrt(spread)) ** 3;
}

function chiSquareOfEqualCells(counts: Uint32Array): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/** Joint counts of the tenths in which two hashes place the same units. */
function jointTenths(one: BucketOfUnit, other: BucketOfUnit, unitCount: number): Uint32Array {
  const counts = new Uint32Array(100);
  const tenth = (bucket: number) => Math.floor((bucket * 10) / BUCKET_COUNT);
  for (let number = 0; number < unitCount; number += 1) {
    const unitId = asUnitId(`user-${number}`);
    counts[tenth(one(unitId)) * 10 + tenth(other(unitId))]! += 1;
  }
  return counts;
}

test('is murmur3 of "experiment_id:unit_id" modulo 10000, however it is asked', () => {
  const experimentId = asExperimentId('6f1e0f52-5b6f-5c7e-9a47-3b1d2c4e5f60');
  for (const id of ['', 'u1', 'josé', '日本語', '😀', 'a:b']) {
    const unitId = asUnitId(id);
    const expected = murmur3(`${experimentId}:${id}`) % 10_000;
    expect(bucketOf(experimentId, unitId)).toBe(expected);
    expect(createExperimentBucket(experimentId)(unitId)).toBe(expected);
    expect(createLayerBucket(asLayerId('l'))(unitId)).toBe(murmur3(`layer:l:${id}`) % 10_000);
    expect(createHoldoutBucket(asHoldoutId('h'))(unitId)).toBe(murmur3(`holdout:h:${id}`) % 10_000);
  }
});

test.each([
  ['counted users', experimentIds[0]!, (number: number) => `user-${number}`],
  ['bare numbers', experimentIds[1]!, (number: number) => String(number)],
  [
    'uuid-like ids',
    experimentIds[2]!,
    (number: number) => `550e8400-e29b-41d4-a716-${number.toString(16).padStart(12, '0')}`,
  ],
  ['non-ASCII ids', experimentIds[3]!, (number: number) => `usuário:${number}`],
])('1,000,000 %s fall evenly in 10,000 buckets (chi-square at 0.001)', (_, experimentId, unitIdOf) => {
  const counts = new Uint32Array(BUCKET_COUNT);
  const bucketOfUnit = createExperimentBucket(experimentId);
  for (let number = 0; number < 1_000_000; number += 1) counts[bucketOfUnit(asUnitId(unitIdOf(number)))]! += 1;
  expect(chiSquareOfEqualCells(counts)).toBeLessThan(chiSquareLimit(BUCKET_COUNT - 1));
});

test('where a unit falls in one experiment says nothing of where it falls in another', () => {
  for (let index = 0; index < experimentIds.length; index += 1) {
    const one = createExperimentBucket(experimentIds[index]!);
    const other = createExperimentBucket(experimentIds[(index + 1) % experimentIds.length]!);
    expect(chiSquareOfEqualCells(jointTenths(one, other, 200_000))).toBeLessThan(chiSquareLimit(99));
  }
});

test('iterations, layers and holdouts are independent of the experiment', () => {
  const experiment = createExperimentBucket(experimentIds[0]!);
  const others = [
    createExperimentBucket(experimentIdOf(asExperimentKey('checkout-button'), 2)),
    createLayerBucket(asLayerId('checkout')),
    createHoldoutBucket(asHoldoutId('checkout')),
  ];
  for (const other of others) {
    expect(chiSquareOfEqualCells(jointTenths(experiment, other, 200_000))).toBeLessThan(chiSquareLimit(99));
  }
});

test('the independence check sees two equal hashes', () => {
  const bucketOfUnit = createExperimentBucket(experimentIds[0]!);
  expect(chiSquareOfEqualCells(jointTenths(bucketOfUnit, bucketOfUnit, 20_000))).toBeGreaterThan(chiSquareLimit(99));
});
