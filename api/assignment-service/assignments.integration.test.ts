// Assignments over HTTP on real Postgres: first writer wins, answers stay, refusals name the field.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let database: TestDatabase;
let topics: TestTopics;
let service: ServiceInstance;

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, 'test-key-with-every-scope');
  await addApiKey(database, 'assign-only', ['assign']);
  service = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  });
  const created = await service.call('POST', '/v1/experiments', definitionOf());
  expect(created.status, JSON.stringify(created.body)).toBe(201);
});
afterAll(async () => {
  await service?.stop();
  await topics?.drop();
  await database?.drop();
});

type Assignments = { variant_id: string; variant_name: string; [name: string]: unknown }[];

async function assign(unitId: string, more: Record<string, unknown> = {}) {
  const answer = await service.call('POST', '/v1/assignments', { unit_type: 'user', unit_id: unitId, ...more });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body as { assignments: Assignments; not_assigned: { reason: string }[] };
}
const countRows = async (unitId: string): Promise<number> =>
  (await database.pool.query('SELECT FROM exp.assignments WHERE unit_id = $1', [unitId])).rowCount ?? 0;

describe('POST /v1/assignments', () => {
  test('answers in the shape of the specification and stores the row with its outbox row', async () => {
    const { assignments } = await assign('shape-1', {
      context: { country: 'NL' },
      requested_experiments: ['checkout-button'],
    });
    const { rows } = await database.pool.query(
      'SELECT variant_id, hash_bucket, source, probability, enrolment_share FROM exp.assignments WHERE unit_id = $1',
      ['shape-1'],
    );
    expect(rows).toEqual([
      {
        variant_id: assignments[0]!.variant_id,
        hash_bucket: assignments[0]!.hash_bucket,
        source: 'hashed',
        probability: 0.5,
        enrolment_share: 1,
      },
    ]);
    const color = assignments[0]!.variant_name === 'control' ? 'blue' : 'green';
    expect(assignments).toEqual([
      {
        experiment_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        experiment_key: 'checkout-button',
        variant_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        variant_name: expect.stringMatching(/^(control|treatment)$/),
        config: { params: { color } },
        assigned_variant_id: assignments[0]!.variant_id,
        reason: 'assigned',
        hash_bucket: expect.any(Number),
        experiment_version: 1,
        source: 'hashed',
        stored: true,
      },
    ]);
    const outbox = await database.pool.query('SELECT kind FROM exp.assignment_outbox WHERE unit_id = $1', ['shape-1']);
    expect(outbox.rows).toEqual([{ kind: 'assignment' }]);
  });

  test('gives the same answer again, by key, by id, and without naming the experiment', async () => {
    const first = await assign('again-1');
    const id = first.assignments[0]!.experiment_id as string;
    for (const requested of [['checkout-button'], [id], [id.toUpperCase()], ['checkout-button', id]]) {
      expect(await assign('again-1', { requested_experiments: requested })).toEqual(first);
    }
    expect(await countRows('again-1')).toBe(1);
  });

  test('reads without storing when it shall not enroll, and says what it would store', async () => {
    const preview = await assign('preview-1', { enroll: false });
    expect(preview.assignments[0]).toMatchObject({ stored: false, reason: 'assigned' });
    expect(await countRows('preview-1')).toBe(0);
    const enrolled = await assign('preview-1');
    expect(enrolled.assignments[0]).toEqual({ ...preview.assignments[0], stored: true });
    expect(await assign('preview-1', { enroll: false })).toEqual(enrolled);
  });

  test('answers the stored row even where the hash says otherwise', async () => {
    const { assignments } = await assign('imported-1', { enroll: false });
    const other = assignments[0]!.variant_name === 'control' ? 'treatment' : 'control';
    const item = { experiment: 'checkout-button', unit_type: 'user', unit_id: 'imported-1', variant: other };
    expect((await service.call('POST', '/v1/assignments/import', { assignments: [item] })).status).toBe(200);
    const answer = await assign('imported-1');
    expect(answer.assignments[0]).toMatchObject({ variant_name: other, source: 'imported', stored: true });
  });

  test('concurrent first requests for one unit get one stored row', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => assign('race-1')));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await countRows('race-1')).toBe(1);
  });

  test.each([
    [
      'an unknown experiment',
      { requested_experiments: ['checkout-button', 'nope'] },
      'unknown-experiment',
      'requested_experiments[1]',
    ],
    ['an unknown unit type', { unit_type: 'spaceship' }, 'unknown-unit-type', 'unit_type'],
    ['no unit id', { unit_id: undefined }, 'invalid-request', 'unit_id'],
    ['an empty unit id', { unit_id: '' }, 'invalid-request', 'unit_id'],
    ['a number as unit id', { unit_id: 7 }, 'invalid-request', 'unit_id'],
    ['a NUL in the unit id', { unit_id: 'a\u0000b' }, 'invalid-request', 'unit_id'],
    ['an unpaired surrogate in the unit id', { unit_id: 'a\ud800b' }, 'invalid-request', 'unit_id'],
    ['a unit id that is too long', { unit_id: 'x'.repeat(257) }, 'invalid-request', 'unit_id'],
    ['an unknown field', { enrol: false }, 'invalid-request', 'enrol'],
    ['a text as enroll', { enroll: 'false' }, 'invalid-request', 'enroll'],
    ['a list as context', { context: [] }, 'invalid-request', 'context'],
    [
      'experiments that are no list',
      { requested_experiments: 'checkout-button' },
      'invalid-request',
      'requested_experiments',
    ],
  ])('refuses %s with 400 and names the field', async (_name, change, code, field) => {
    const body = { unit_type: 'user', unit_id: 'bad-1', ...change };
    const answer = await service.call('POST', '/v1/assignments', body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code, field, message: expect.any(String) });
    expect(await countRows('bad-1')).toBe(0);
  });

  test.each([
    ['text that is not JSON', '{"unit_type":', 400],
    ['nothing', '', 400],
    [
      'a body above the limit',
      JSON.stringify({ unit_type: 'user', unit_id: 'x', context: { a: 'x'.repeat(300_000) } }),
      413,
    ],
  ])('refuses %s', async (_name, body, status) => {
    const answer = await service.call('POST', '/v1/assignments', body);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({ code: expect.any(String), message: expect.any(String) });
  });

  test('needs a key with the scope', async () => {
    const body = { unit_type: 'user', unit_id: 'key-1' };
    expect((await service.call('POST', '/v1/assignments', body, { key: null })).status).toBe(401);
    expect((await service.call('POST', '/v1/assignments', body, { key: 'unknown' })).status).toBe(401);
    expect((await service.call('POST', '/v1/assignments', body, { key: 'assign-only' })).status).toBe(200);
    const item = { experiment: 'checkout-button', unit_type: 'user', unit_id: 'key-2', variant: 'control' };
    const imported = await service.call(
      'POST',
      '/v1/assignments/import',
      { assignments: [item] },
      { key: 'assign-only' },
    );
    expect(imported.status).toBe(403);
    expect(await countRows('key-2')).toBe(0);
  });
});

describe('POST /v1/assignments/import', () => {
  const item = (unitId: string, variant: string, more: object = {}) => ({
    experiment: 'checkout-button',
    unit_type: 'user',
    unit_id: unitId,
    variant,
    ...more,
  });
  const importItems = (...assignments: object[]) => service.call('POST', '/v1/assignments/import', { assignments });

  test('stores time and probability, and an identical import changes nothing', async () => {
    const row = item('import-1', 'treatment', { assigned_at: '2019-11-24T01:00:00+01:00', probability: 0.25 });
    const counts = { duplicates: 0, conflicts: 0, invalid: 0, problems: [] };
    expect((await importItems(row)).body).toEqual({ ...counts, imported: 1 });
    expect(await importItems(row)).toMatchObject({ status: 200, body: { ...counts, imported: 0, duplicates: 1 } });
    const { rows } = await database.pool.query(
      'SELECT source, probability, assigned_at FROM exp.assignments WHERE unit_id = $1',
      ['import-1'],
    );
    expect(rows).toEqual([{ source: 'imported', probability: 0.25, assigned_at: new Date('2019-11-24T00:00:00Z') }]);
  });

  test('reports a contradiction item by item and overwrites nothing', async () => {
    const { assignments } = await assign('conflict-1');
    const stored = assignments[0]!.variant_name;
    const other = stored === 'control' ? 'treatment' : 'control';
    const answer = await importItems(
      item('conflict-1', other),
      item('import-2', 'control'),
      item('conflict-1', stored),
    );
    expect(answer.status).toBe(207);
    expect(answer.body).toEqual({
      imported: 1,
      duplicates: 1,
      conflicts: 1,
      invalid: 0,
      problems: [{ index: 0, status: 'conflict', message: expect.stringContaining(stored) }],
    });
    expect((await assign('conflict-1')).assignments[0]!.variant_name).toBe(stored);
  });

  test('of two items for one unit the first one counts', async () => {
    const answer = await importItems(
      item('twice-1', 'control'),
      item('twice-1', 'treatment'),
      item('twice-1', 'control'),
    );
    expect(answer.body).toMatchObject({ imported: 1, duplicates: 1, conflicts: 1 });
    expect((await assign('twice-1')).assignments[0]!.variant_name).toBe('control');
  });

  test('says which items are invalid and imports the others', async () => {
    const id = (await assign('import-3')).assignments[0]!;
    const answer = await importItems(
      item('import-4', 'purple'),
      { ...item('import-4', 'control'), experiment: 'nope' },
      { ...item('import-4', 'control'), unit_type: 'device' },
      item('import-4', 'control', { assigned_at: '2999-01-01T00:00:00Z' }),
      item('import-4', 'control', { variant_id: id.variant_id }),
      { unit_type: 'user', unit_id: 'import-4', experiment_id: id.experiment_id, variant_id: id.variant_id },
    );
    expect(answer.status).toBe(207);
    const { problems, ...counts } = answer.body as { problems: { field: string; status: string }[] };
    expect(counts).toEqual({ imported: 1, duplicates: 0, conflicts: 0, invalid: 5 });
    expect(problems.map(({ field }) => field)).toEqual([
      'variant',
      'experiment',
      'unit_type',
      'assigned_at',
      'variant',
    ]);
  });

  test('takes 5,000 items at once and refuses 5,001', async () => {
    const items = Array.from({ length: 5_001 }, (_, index) =>
      item(`bulk-${index}`, index % 2 === 0 ? 'control' : 'treatment'),
    );
    expect((await importItems(...items)).body).toMatchObject({ code: 'invalid-request', field: 'assignments' });
    expect((await importItems(...items.slice(1))).body).toMatchObject({ imported: 5_000, problems: [] });
    const { rows } = await database.pool.query(
      "SELECT count(*)::integer AS stored, count(o.id)::integer AS announced FROM exp.assignments a LEFT JOIN exp.assignment_outbox o USING (experiment_id, unit_id) WHERE a.unit_id LIKE 'bulk-%'",
    );
    expect(rows).toEqual([{ stored: 5_000, announced: 5_000 }]);
  });
});

describe('operations', () => {
  test('health, readiness, metrics, OpenAPI and its pages are open', async () => {
    expect((await service.call('GET', '/healthz', undefined, { key: null })).body).toEqual({ status: 'alive' });
    expect((await service.call('GET', '/readyz', undefined, { key: null })).body).toEqual({
      status: 'ready',
      postgres: 'reachable',
    });
    const metrics = await service.call('GET', '/metrics', undefined, { key: null });
    expect(metrics.body).toContain('assignments_stored_total');
    expect(metrics.body).toContain('outbox_leading');
    const openapi = (await service.call('GET', '/openapi.json', undefined, { key: null })).body as { paths: object };
    expect(Object.keys(openapi.paths)).toContain('/v1/assignments');
    const page = await service.call('GET', '/docs', undefined, { key: null });
    expect(page.status).toBe(200);
    expect(page.body).toContain('swagger-ui');
  });

  test('an unknown path is 404 in the shape of every error', async () => {
    const answer = await service.call('GET', '/v1/nothing');
    expect(answer.status).toBe(404);
    expect(answer.body).toEqual({ code: 'not-found', message: expect.any(String) });
  });
});
