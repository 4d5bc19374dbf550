// Tests the lifecycle commands: what they change, compare-and-set, the record of who and why, and what the clock makes of start and end.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { definitionOf } from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { describeEnrolment, describeTransition } from './describe-experiment.ts';
import { type ExperimentCommand, runExperimentCommand } from './run-command.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

/** With the rights of the operator; these experiments name no policy versions, so nothing is asked of MLflow. */
const definitions = () => ({ pool: database.poolAs('operator'), models: null, stages: null });
const author = { actor: 'ann', reason: 'planned' };

async function create(key: string, overrides: Parameters<typeof definitionOf>[0] = {}): Promise<void> {
  const body = definitionOf({ key, status: 'draft', ...overrides });
  const result = await inTransaction(database.pool, (tx) => applyDefinition(tx, body, author));
  expect(result.status).toBe('created');
}

async function run(keyOrId: string, command: ExperimentCommand, expectedVersion?: number): Promise<string> {
  const target = { keyOrId, author, ...(expectedVersion === undefined ? {} : { expectedVersion }) };
  const { before, after } = await runExperimentCommand(definitions(), target, command);
  return describeTransition(before, after);
}

test('an experiment goes through its life, and every step is on record', async () => {
  await create('life', { coverage: 0.1 });
  expect(await run('life', { kind: 'start' })).toBe('life iteration 1: status draft -> running (version 1 -> 2)');
  expect(await run('life', { kind: 'coverage', share: 0.5 })).toContain('coverage 0.1 -> 0.5 (version 2 -> 3)');
  expect(await run('life', { kind: 'pause' })).toContain('status running -> paused');
  expect(await run('life', { kind: 'pause' })).toBe('life iteration 1: unchanged, it is paused (version 4)');
  expect(await run('life', { kind: 'rollback' })).toContain('serving as_assigned -> off');
  expect(await run('life', { kind: 'restore' })).toContain('serving off -> as_assigned');
  expect(await run('life', { kind: 'promote', variant: 'treatment' })).toContain(
    'serving as_assigned -> all_to treatment',
  );
  expect(await run('life', { kind: 'complete', winner: 'treatment' })).toContain('status paused -> completed');
  expect(await run('life', { kind: 'archive' })).toContain('status completed -> archived');
  const { rows } = await database.pool.query(
    `SELECT v.version, v.changed_by, v.reason, jsonb_array_length(v.diff) > 0 AS has_diff
     FROM exp.experiment_versions v JOIN exp.experiments x ON x.id = v.experiment_id WHERE x.key = 'life' ORDER BY v.version`,
  );
  expect(rows).toEqual(
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map((version) => ({ version, changed_by: 'ann', reason: 'planned', has_diff: true })),
  );
});

test('refusals say what to do instead', async () => {
  await create('refusals');
  await expect(run('refusals', { kind: 'pause' })).rejects.toThrow('it is draft; start it first');
  await run('refusals', { kind: 'start' });
  await expect(run('refusals', { kind: 'coverage', share: 0.5 })).rejects.toThrow('coverage may only grow (1 to 0.5)');
  await expect(run('refusals', { kind: 'promote', variant: 'green' })).rejects.toThrow(
    'has no variant green; it has control, treatment',
  );
  await expect(run('nobody', { kind: 'start' })).rejects.toThrow('there is no experiment nobody');
});

test('of two people who decide on the same version one wins, and the other is told', async () => {
  await create('race');
  await run('race', { kind: 'start' });
  const outcomes = await Promise.allSettled([
    run('race', { kind: 'pause' }, 2),
    run('race', { kind: 'promote', variant: 'treatment' }, 2),
  ]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const loser = outcomes.find((outcome) => outcome.status === 'rejected');
  expect(String(loser?.reason)).toContain('is at version 3, not 2');
});

test('start and end hold by the clock, without any transition', async () => {
  await create('dated', { starts_at: '2026-03-01T00:00:00Z', ends_at: '2026-04-01T00:00:00Z' });
  const { after } = await runExperimentCommand(definitions(), { keyOrId: 'dated', author }, { kind: 'start' });
  expect(describeEnrolment(after, Date.parse('2026-02-28T23:59:59.999Z'))).toBe('opens at 2026-03-01T00:00:00.000Z');
  expect(describeEnrolment(after, Date.parse('2026-03-01T00:00:00Z'))).toBe('open until 2026-04-01T00:00:00.000Z');
  expect(describeEnrolment(after, Date.parse('2026-04-01T00:00:00Z'))).toBe('ended at 2026-04-01T00:00:00.000Z');
});
