// What the client decides by itself, what it remembers, and what it leaves to the service.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ClientDefinition } from '../../domain/experiment/client-definition.ts';
import { controlId, sampleDefinition, storeRequiredDefinition, treatmentId } from './client-samples.ts';
import { createLocalEvaluation } from './local-evaluation.ts';
import { fillIn } from './settings.ts';
import { createMemoryStore } from './sticky-store.ts';
import type { StickyStore } from './types.ts';

function localWith(definition: ClientDefinition, options: { stickyStore?: StickyStore } = {}) {
  const errors: string[] = [];
  const local = createLocalEvaluation(fillIn({ ...options, onError: (kind) => errors.push(kind) }));
  local.take([definition], null);
  return { ...local, errors };
}
const user = (unitId: string, context = {}) => ({ unitType: 'user', unitId, context });
const key = 'checkout-button';

test('raising the coverage never moves a unit, even without anything remembered', () => {
  const shares = fc
    .array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 4 })
    .filter((allocations) => allocations.reduce((sum, share) => sum + share, 0) <= 10_000);
  const coverage = fc.integer({ min: 0, max: 10_000 });
  fc.assert(
    fc.property(
      shares,
      coverage,
      coverage,
      fc.string({ unit: 'grapheme', minLength: 1 }),
      (allocations, one, other, id) => {
        const variants = allocations.map((allocation, index) => ({
          variant_id: String(index),
          name: String(index),
          is_control: index === 0,
          allocation_basis_points: allocation,
          config: {},
        }));
        const variantAt = (basisPoints: number): string | null =>
          localWith(sampleDefinition({ variants, coverage_basis_points: basisPoints })).evaluate(key, user(id)).decision
            .variantId;
        const before = variantAt(Math.min(one, other));
        return before === null || before === variantAt(Math.max(one, other));
      },
    ),
    { seed: 4, numRuns: 3_000 },
  );
});

test('a unit keeps its variant when enrolment closes or targeting does not admit it any more', () => {
  const stickyStore = createMemoryStore();
  const before = localWith(sampleDefinition(), { stickyStore }).evaluate(key, user('u1'));
  expect(before).toMatchObject({ isFinal: true, decision: { reason: 'assigned', from: 'local' } });
  for (const change of [{ status: 'paused' }, { targeting: { country: 'DE' } }] as const) {
    const later = localWith(sampleDefinition(change), { stickyStore });
    expect(later.evaluate(key, user('u1'))).toEqual({
      isFinal: true,
      decision: { ...before.decision, from: 'sticky' },
    });
  }
  const paused = localWith(sampleDefinition({ status: 'paused' }), { stickyStore });
  expect(paused.evaluate(key, user('u2'))).toMatchObject({ isFinal: false, decision: { reason: 'paused' } });
});

test('a new iteration knows nothing of the assignments before it', () => {
  const stickyStore = createMemoryStore();
  localWith(sampleDefinition(), { stickyStore }).evaluate(key, user('u1'));
  const next = sampleDefinition({ experiment_id: 'b0fe0d59-e331-5bb3-869e-a76ed6ce6695', iteration: 2 });
  expect(localWith(next, { stickyStore }).evaluate(key, user('u1')).decision.from).toBe('local');
});

test('where stored rows count, only what the service said is believed', () => {
  const stickyStore = createMemoryStore();
  localWith(sampleDefinition(), { stickyStore }).evaluate(key, user('u1'));
  const local = localWith(storeRequiredDefinition(), { stickyStore });
  expect(local.evaluate(key, user('u1'))).toMatchObject({
    isFinal: false,
    decision: { variantId: null, reason: 'store-required' },
  });
  const { experiment_id } = sampleDefinition();
  local.remember(experiment_id, 'u1', { v: treatmentId, b: 7, s: 'imported', r: true });
  expect(local.evaluate(key, user('u1'))).toMatchObject({
    isFinal: true,
    decision: { variantId: treatmentId, hashBucket: 7, reason: 'assigned', from: 'sticky' },
  });
  const promoted = localWith(storeRequiredDefinition({ serving: { mode: 'all_to', variant_id: controlId } }));
  expect(promoted.evaluate(key, user('u2'))).toMatchObject({
    isFinal: true,
    decision: { variantId: controlId, reason: 'all-to' },
  });
});

test('a forced variant is not remembered', () => {
  const stickyStore = createMemoryStore();
  const forced = localWith(sampleDefinition({ forced_variants: { u1: controlId } }), { stickyStore });
  expect(forced.evaluate(key, user('u1')).decision).toMatchObject({ variantId: controlId, reason: 'forced' });
  expect(localWith(sampleDefinition(), { stickyStore }).evaluate(key, user('u1')).decision).toMatchObject({
    from: 'local',
  });
});

test('a store that fails or holds nonsense is reported and not needed', () => {
  const failing: StickyStore = {
    get: () => 'nonsense',
    set: () => {
      throw new Error('full');
    },
  };
  const local = localWith(sampleDefinition(), { stickyStore: failing });
  expect(local.evaluate(key, user('u1')).decision).toMatchObject({ reason: 'assigned', from: 'local' });
  expect(local.errors).toEqual(['sticky-store', 'sticky-store']);
});

test('a definition that cannot be read does not keep the others from being served', () => {
  const broken = sampleDefinition({ key: 'broken', coverage_basis_points: 20_000 });
  const local = localWith(sampleDefinition());
  local.take([broken, sampleDefinition({ key: 'another' })], ['checkout-button']);
  expect(local.errors).toEqual(['definitions']);
  expect(local.keysOf('user')).toEqual(['another']);
});

test('the memory store forgets what was written longest ago', () => {
  const store = createMemoryStore(2);
  for (const name of ['a', 'b', 'a', 'c']) store.set(name, name);
  expect(['a', 'b', 'c'].map((name) => store.get(name))).toEqual(['a', undefined, 'c']);
});
