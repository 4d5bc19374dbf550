// Which rows a request reads, writes and answers, with the store in memory.
import { beforeEach, describe, expect, test } from 'vitest';
import { compileExperiment } from '#domain/experiment/compile-experiment.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import {
  controlId,
  sampleExperiment,
  sampleStoredAssignment,
  treatmentId,
} from '#domain/experiment/experiment-samples.ts';
import { asExperimentId, asExperimentKey, asLayerId, asUnitType } from '#domain/experiment/ids.ts';
import { createDefinitionIndex } from '#producers/definition-store/live-definitions.ts';
import { type AssignUnit, createAssignUnit } from './assign-unit.ts';
import { createAssignmentCache } from './assignment-cache.ts';
import { describeAssignmentStoreContract } from './assignment-store.contract.ts';
import { createFakeAssignmentStore, type FakeAssignmentStore } from './fake-assignment-store.ts';

let store: FakeAssignmentStore;
let experiments: Experiment[];
let assign: AssignUnit;

beforeEach(() => {
  store = createFakeAssignmentStore();
  experiments = [sampleExperiment()];
  assign = createAssignUnit({
    lookAgain: async () => undefined,
    currentDefinitions: () =>
      createDefinitionIndex(
        experiments.map((experiment) => ({ experiment, updatedAtMs: 0 })),
        compileExperiment,
      ),
    assignments: store,
    cache: createAssignmentCache(1_000),
    nowMs: () => Date.UTC(2026, 0, 1),
  });
});

const ask = (unitId: string, more: object = {}) => assign({ unit_type: 'user', unit_id: unitId, ...more });

describe('the fake store', () => {
  const subject = { store: createFakeAssignmentStore(), experimentId: 'x', variants: ['one', 'two'] as const };
  describeAssignmentStoreContract(() => subject);
});

describe('createAssignUnit', () => {
  test('stores once, then answers from memory without asking the store', async () => {
    const first = await ask('user-1');
    expect(await ask('user-1')).toEqual(first);
    expect(store.calls).toEqual(['store 1']);
  });

  test('asks the store once for all experiments of a request', async () => {
    experiments = Array.from({ length: 5 }, (_, index) =>
      sampleExperiment({
        experimentId: asExperimentId(`00000000-0000-5000-8000-00000000000${index}`),
        experimentKey: asExperimentKey(`key-${index}`),
        coverage: index < 3 ? 10_000 : 0,
      }),
    );
    const answer = await ask('user-1');
    expect(answer.assignments).toHaveLength(3);
    expect(answer.not_assigned.map(({ reason }) => reason)).toEqual(['outside-coverage', 'outside-coverage']);
    expect(store.calls).toEqual(['store 3', 'find 2']);
    await ask('user-1');
    expect(store.calls).toEqual(['store 3', 'find 2', 'find 2']);
  });

  test('a stored row wins over coverage, pause, end and another hash', async () => {
    const first = await ask('user-1');
    const row = [...store.rows.values()][0]!;
    const other = row.variantId === controlId ? treatmentId : controlId;
    store.rows.set('6f1e0f52-5b6f-5c7e-9a47-3b1d2c4e5f60:user-2', { ...row, unitId: 'user-2', variantId: other });
    for (const change of [{ coverage: 0 }, { status: 'paused' }, { endsAt: '2025-01-01T00:00:00Z' }] as const) {
      experiments = [sampleExperiment(change)];
      const requested = { requested_experiments: ['checkout-button'] };
      expect(await ask('user-1', requested)).toEqual(first);
      expect((await ask('user-2', requested)).assignments[0]?.variant_id).toBe(other);
      expect((await ask('new', requested)).assignments).toEqual([]);
    }
    expect(store.rows.size).toBe(2);
  });

  test('a unit that is not eligible is not stored, and can be assigned later', async () => {
    experiments = [sampleExperiment({ targeting: { country: 'NL' } })];
    expect((await ask('user-1', { context: { country: 'DE' } })).not_assigned[0]?.reason).toBe('not-targeted');
    expect(store.rows.size).toBe(0);
    const assigned = await ask('user-1', { context: { country: 'NL' } });
    expect(assigned.assignments[0]).toMatchObject({ stored: true });
    expect(await ask('user-1', { context: { country: 'DE' } })).toEqual(assigned);
  });

  test('serving one variant to all changes what is delivered and not what is analyzed', async () => {
    const [first] = (await ask('user-1')).assignments;
    experiments = [sampleExperiment({ version: 2, serving: { mode: 'all_to', variantId: treatmentId } })];
    const [served] = (await ask('user-1')).assignments;
    expect(served).toMatchObject({
      variant_id: treatmentId,
      variant_name: 'treatment',
      assigned_variant_id: first!.variant_id,
      reason: 'all-to',
      experiment_version: 2,
    });
  });

  test('a forced unit gets its variant and is stored as forced', async () => {
    experiments = [sampleExperiment({ forcedVariants: { tester: treatmentId } })];
    const answer = await ask('tester');
    expect(answer.assignments[0]).toMatchObject({ variant_id: treatmentId, reason: 'forced', source: 'forced' });
  });

  test('a unit that is stored in another experiment of the layer is not stored here, unless it is a test unit there', async () => {
    const inLayer = (number: number, start: number, end: number, more: Partial<Experiment> = {}) =>
      sampleExperiment({
        experimentId: asExperimentId(`00000000-0000-5000-8000-00000000000${number}`),
        experimentKey: asExperimentKey(`layered-${number}`),
        layer: { layerId: asLayerId('page'), start, end },
        ...more,
      });
    experiments = [inLayer(1, 0, 1), inLayer(2, 1, 10_000)];
    const row = { ...sampleStoredAssignment(treatmentId), experimentVersion: 1 };
    const experimentId = experiments[0]!.experimentId;
    for (const [unitId, source] of [
      ['inheritor', 'inherited'],
      ['tester', 'forced'],
    ] as const) {
      store.rows.set(`${experimentId}:${unitId}`, { ...row, experimentId, unitId, source });
    }
    const requested = { requested_experiments: ['layered-2'] };
    expect((await ask('inheritor', requested)).not_assigned).toMatchObject([{ reason: 'in-layer-mate' }]);
    expect((await ask('tester', requested)).assignments).toMatchObject([{ source: 'hashed', stored: true }]);
    expect((await ask('nobody', requested)).assignments).toMatchObject([{ source: 'hashed', stored: true }]);
    // A completed experiment has given its range back.
    experiments = [inLayer(1, 0, 1, { status: 'completed' }), inLayer(2, 1, 10_000)];
    expect((await ask('inheritor', requested)).assignments).toMatchObject([{ stored: true }]);
  });

  test('names the experiment that randomizes another unit type', async () => {
    experiments.push(
      sampleExperiment({
        experimentId: asExperimentId('00000000-0000-5000-8000-000000000009'),
        experimentKey: asExperimentKey('devices'),
        unitType: asUnitType('device'),
      }),
    );
    await expect(ask('user-1', { requested_experiments: ['devices'] })).rejects.toMatchObject({
      body: {
        code: 'unit-type-mismatch',
        field: 'requested_experiments[0]',
        message: expect.stringContaining('device'),
      },
    });
    expect(store.calls).toEqual([]);
  });
});
