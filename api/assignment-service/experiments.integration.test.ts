// Definitions over HTTP on real Postgres: idempotent, protected while running, audited, and known to every instance at once.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let database: TestDatabase;
let topics: TestTopics;
let service: ServiceInstance;
let other: ServiceInstance;

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
  const options = {
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  };
  service = await startInstance({ ...options, name: 'one' });
  other = await startInstance({ ...options, name: 'two' });
});
afterAll(async () => {
  await service?.stop();
  await other?.stop();
  await topics?.drop();
  await database?.drop();
});

type Document = { experiment_id: string; version: number; status: string; variants: { variant_id: string }[] } & Record<
  string,
  unknown
>;

const define = (overrides: Partial<DefinitionBody>) => service.call('POST', '/v1/experiments', definitionOf(overrides));
async function defined(overrides: Partial<DefinitionBody>): Promise<Document> {
  const answer = await define(overrides);
  expect([200, 201], JSON.stringify(answer.body)).toContain(answer.status);
  return answer.body as Document;
}
const change = (key: string, what: string, body: object) =>
  service.call('POST', `/v1/experiments/${key}/${what}`, body);
const historyOf = async (id: string) =>
  (
    await database.pool.query<{ version: number; changed_by: string; reason: string }>(
      'SELECT version, changed_by, reason FROM exp.experiment_versions WHERE experiment_id = $1 ORDER BY version',
      [id],
    )
  ).rows;

/** Variant names that both instances answer for a unit, from the stored row or without storing. */
async function assignBoth(key: string, unitId: string, more: object = {}) {
  const body = { unit_type: 'user', unit_id: unitId, requested_experiments: [key], ...more };
  const answers = await Promise.all([service, other].map((instance) => instance.call('POST', '/v1/assignments', body)));
  return answers.map(({ status, body: answer }) => {
    expect(status, JSON.stringify(answer)).toBe(200);
    const { assignments, not_assigned } = answer as {
      assignments: { variant_name: string; reason: string; assigned_variant_id: string | null }[];
      not_assigned: { reason: string }[];
    };
    return assignments[0]?.variant_name ?? not_assigned[0]?.reason;
  });
}

describe('POST /v1/experiments', () => {
  test('the ids follow from the key, and the same body again changes nothing', async () => {
    const first = await define({ key: 'idempotent' });
    expect(first.status).toBe(201);
    const document = first.body as Document;
    expect(document).toMatchObject({ key: 'idempotent', iteration: 1, version: 1, status: 'running', coverage: 1 });
    const again = await define({ key: 'idempotent' });
    expect(again).toMatchObject({ status: 200, body: document });
    expect(await historyOf(document.experiment_id)).toHaveLength(1);
    const { notes, ...stored } = document;
    expect(notes).toEqual([]);
    expect(await other.call('GET', '/v1/experiments/idempotent')).toMatchObject({ status: 200, body: stored });
  });

  test('forty concurrent first definitions create one experiment', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        (index % 2 === 0 ? service : other).call('POST', '/v1/experiments', definitionOf({ key: 'raced' })),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(39).fill(200), 201]);
  });

  test('every change is a version with author, reason and difference, an audit entry and an outbox row', async () => {
    const { experiment_id: id } = await defined({ key: 'audited', status: 'draft' });
    const answer = await service.call('POST', '/v1/experiments?reason=better%20name', {
      ...definitionOf({ key: 'audited', status: 'draft' }),
      name: 'Audited',
    });
    expect(answer.body).toMatchObject({ version: 2, name: 'Audited' });
    expect(await historyOf(id)).toEqual([
      { version: 1, changed_by: `name of ${testKey}`, reason: 'definition sent to the service' },
      { version: 2, changed_by: `name of ${testKey}`, reason: 'better name' },
    ]);
    const { rows } = await database.pool.query(
      `SELECT v.diff, a.action, a.detail ->> 'reason' AS reason, (SELECT count(*)::integer FROM exp.definition_outbox WHERE experiment_id = $1) AS announced
       FROM exp.experiment_versions v, exp.audit_log a
       WHERE v.experiment_id = $1 AND v.version = 2 AND a.subject = 'experiment/audited/1' ORDER BY a.id DESC LIMIT 1`,
      [id],
    );
    expect(rows).toEqual([
      {
        diff: [{ path: 'name', before: 'audited', after: 'Audited' }],
        action: 'experiment.edit',
        reason: 'better name',
        announced: 2,
      },
    ]);
  });

  test('a draft may change in any way, also in the order of its variants', async () => {
    const variants = definitionOf().variants;
    await defined({ key: 'draft', status: 'draft' });
    const next = [
      { name: 'third', allocation: 0.25, is_control: true },
      { ...variants[1]!, allocation: 0.25 },
      { ...variants[0]!, is_control: false },
    ];
    const document = await defined({ key: 'draft', status: 'draft', variants: next });
    expect(document.variants.map((variant) => (variant as { name?: string }).name)).toEqual([
      'third',
      'treatment',
      'control',
    ]);
    await defined({ key: 'draft', status: 'draft', variants: [next[1]!, next[0]!] });
    const { rows } = await database.pool.query(
      "SELECT v.name, v.position, v.is_control FROM exp.variants v JOIN exp.experiments x ON x.id = v.experiment_id WHERE x.key = 'draft' ORDER BY v.position",
    );
    expect(rows).toEqual([
      { name: 'treatment', position: 0, is_control: false },
      { name: 'third', position: 1, is_control: true },
    ]);
  });

  test('what a running experiment is analyzed by is frozen, and the refusal says what to do', async () => {
    await defined({ key: 'frozen' });
    const variants = definitionOf().variants;
    const answer = await define({ key: 'frozen', variants: [{ ...variants[0]!, allocation: 0.4 }, variants[1]!] });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      code: 'refused',
      field: 'variants[0].allocation',
      message: expect.stringContaining('iteration: 2'),
    });
    expect((await define({ key: 'frozen', unit_type: 'device' })).body).toMatchObject({ field: 'unit_type' });
    expect((await define({ key: 'frozen', iteration: 2 })).body).toMatchObject({ code: 'refused', field: 'iteration' });
    expect((await defined({ key: 'frozen', name: 'Another name' })).version).toBe(2);
  });

  test('a new iteration starts when the last one is completed, with another id and another randomization', async () => {
    const first = await defined({ key: 'again' });
    await change('again', 'transitions', { to: 'completed', expected_version: 1, reason: 'done' });
    const second = await defined({ key: 'again', iteration: 2 });
    expect(second).toMatchObject({ iteration: 2, version: 1, status: 'running' });
    expect(second.experiment_id).not.toBe(first.experiment_id);
    expect((await service.call('GET', '/v1/experiments/again')).body).toMatchObject({ iteration: 2 });
    expect((await service.call('GET', `/v1/experiments/${first.experiment_id}`)).body).toMatchObject({ iteration: 1 });
  });

  test('experiments of one layer never share a unit', async () => {
    await defined({ key: 'layer-1', layer: { id: 'page', start: 0, end: 0.5 } });
    const answer = await define({ key: 'layer-2', layer: { id: 'page', start: 0.4, end: 0.6 } });
    expect(answer).toMatchObject({
      status: 409,
      body: { field: 'layer', message: expect.stringContaining('layer-1') },
    });
    await defined({ key: 'layer-2', layer: { id: 'page', start: 0.5, end: 0.6 } });
  });

  const [control, treatment] = definitionOf().variants as [
    DefinitionBody['variants'][0],
    DefinitionBody['variants'][0],
  ];
  test.each([
    ['allocations above 1', { variants: [control, { ...treatment, allocation: 0.6 }] }, 'variants'],
    ['five decimals', { variants: [control, { ...treatment, allocation: 0.33333 }] }, 'variants[1].allocation'],
    ['five decimals of coverage', { coverage: 0.00001 }, 'coverage'],
    ['coverage above 1', { coverage: 1.5 }, 'coverage'],
    ['two variants of one name', { variants: [control, control] }, 'variants'],
    ['no variants', { variants: [] }, 'variants'],
    ['an end before the start', { starts_at: '2026-01-02T00:00:00Z', ends_at: '2026-01-01T00:00:00Z' }, 'ends_at'],
    ['a time without a zone', { starts_at: '2026-01-02T00:00:00' }, 'starts_at'],
    ['an unknown field', { allocation: 1 }, 'allocation'],
    ['an unknown field of a variant', { variants: [{ ...control, weight: 1 }] }, 'variants[0].weight'],
    ['an unknown field of a config', { variants: [{ ...control, config: { param: {} } }] }, 'variants[0].config.param'],
    ['a key that is a UUID', { key: 'b1f0a1de-51d7-4f0e-9a47-3b1d2c4e5f60' }, 'key'],
    ['a key with a space', { key: 'two words' }, 'key'],
    ['an unknown status', { status: 'started' }, 'status'],
    ['an unknown operator', { targeting: { age: { $above: 3 } } }, 'targeting.age.$above'],
    ['a forced variant that does not exist', { forced_variants: { 'user-1': 'purple' } }, 'forced_variants.user-1'],
    [
      'a policy version that does not exist',
      { variants: [{ ...control, config: { policy_version_id: '4a2f74ad-7b6c-4a80-9f4d-111111111111' } }] },
      'variants[0].config.policy_version_id',
    ],
  ])('refuses %s with 400 and names the field', async (_name, overrides, field) => {
    const answer = await service.call('POST', '/v1/experiments', { ...definitionOf({ key: 'refused' }), ...overrides });
    expect(answer.status).toBe(400);
    const { problems = [], ...first } = answer.body as { field: string; problems?: { field: string }[] };
    expect([first.field, ...problems.map((problem) => problem.field)].join()).toContain(field);
    expect((await service.call('GET', '/v1/experiments/refused')).status).toBe(404);
  });
});

describe('changes of a running experiment', () => {
  test('coverage grows by compare-and-set, never shrinks, and moves nobody', async () => {
    const { version } = await defined({ key: 'ramp', coverage: 0.1 });
    const preview = { enroll: false };
    const before = await Promise.all(
      Array.from({ length: 200 }, (_, index) => assignBoth('ramp', `ramp-${index}`, preview)),
    );
    const stale = await change('ramp', 'coverage', { coverage: 0.5, expected_version: 7, reason: 'ramp' });
    expect(stale).toMatchObject({ status: 409, body: { code: 'stale-version', field: 'expected_version' } });
    const grown = await change('ramp', 'coverage', { coverage: 0.5, expected_version: version, reason: 'ramp' });
    expect(grown).toMatchObject({ status: 200, body: { coverage: 0.5, version: version + 1 } });
    const shrunk = await change('ramp', 'coverage', { coverage: 0.4, expected_version: version + 1, reason: 'ramp' });
    expect(shrunk).toMatchObject({ status: 409, body: { code: 'refused', field: 'coverage' } });
    await until('both instances know the coverage', async () => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) => assignBoth('ramp', `ramp-${index}`, preview)),
      );
      return answers.every(([one, two]) => one === two);
    });
    const after = await Promise.all(
      Array.from({ length: 200 }, (_, index) => assignBoth('ramp', `ramp-${index}`, preview)),
    );
    const enrolled = (answers: typeof before) => answers.filter(([name]) => name === 'control' || name === 'treatment');
    expect(enrolled(after).length).toBeGreaterThan(enrolled(before).length);
    before.forEach(([name], index) => {
      if (name !== 'outside-coverage') expect(after[index]![0]).toBe(name);
    });
  });

  test('pausing stops enrolment and leaves delivery; stopping delivery leaves the assignment', async () => {
    const { version, variants } = await defined({ key: 'paused' });
    const [name] = await assignBoth('paused', 'user-1');
    await change('paused', 'transitions', { to: 'paused', expected_version: version, reason: 'test' });
    await until('both stop', async () =>
      (await assignBoth('paused', 'new-1', { enroll: false })).every((reason) => reason === 'paused'),
    );
    expect(await assignBoth('paused', 'new-1')).toEqual(['paused', 'paused']);
    expect(await assignBoth('paused', 'user-1')).toEqual([name, name]);
    const off = await change('paused', 'serving', { mode: 'off', expected_version: version + 1, reason: 'broken' });
    expect(off).toMatchObject({ status: 200, body: { serving: { mode: 'off' } } });
    await until('nothing is delivered', async () =>
      (await assignBoth('paused', 'user-1')).every((reason) => reason === 'off'),
    );
    await change('paused', 'transitions', {
      to: 'completed',
      winner: 'treatment',
      expected_version: version + 2,
      reason: 'won',
    });
    await until('the winner is delivered', async () =>
      (await assignBoth('paused', 'user-1')).every((delivered) => delivered === 'treatment'),
    );
    expect(await assignBoth('paused', 'new-1')).toEqual(['treatment', 'treatment']);
    const { rows } = await database.pool.query(
      'SELECT v.name FROM exp.assignments a JOIN exp.variants v ON v.id = a.variant_id WHERE a.unit_id = $1 AND v.id = ANY($2)',
      ['user-1', variants.map(({ variant_id }) => variant_id)],
    );
    expect(rows).toEqual([{ name }]);
  });

  test('whoever names no experiments goes on to get what a pause or a completion leaves delivered', async () => {
    const unit = { unit_type: 'tablet', unit_id: 'tablet-1' };
    const askBoth = () =>
      Promise.all(
        [service, other].map(async (instance) => {
          const { body } = await instance.call('POST', '/v1/assignments', unit);
          return (body as { assignments: { variant_name: string }[] }).assignments.map((answer) => answer.variant_name);
        }),
      );
    await defined({ key: 'unasked', unit_type: 'tablet' });
    await until('both know it', async () => (await askBoth()).every(({ length }) => length === 1));
    const [[name]] = (await askBoth()) as [[string]];
    await change('unasked', 'transitions', { to: 'paused', expected_version: 1, reason: 'test' });
    expect(await askBoth()).toEqual([[name], [name]]);
    const winner = name === 'control' ? 'treatment' : 'control';
    await change('unasked', 'transitions', { to: 'completed', winner, expected_version: 2, reason: 'test' });
    await until('the winner is delivered', async () => (await askBoth()).every(([one]) => one === winner));
    await change('unasked', 'serving', { mode: 'off', expected_version: 3, reason: 'test' });
    await until('nothing is delivered', async () => (await askBoth()).every(({ length }) => length === 0));
  });

  test('a definition that was made from another version is refused', async () => {
    const define = (name: string, expectedVersion: number) =>
      service.call('POST', `/v1/experiments?expected_version=${expectedVersion}`, definitionOf({ key: 'seen', name }));
    expect((await define('one', 1)).body).toMatchObject({ code: 'stale-version' });
    expect((await define('one', 0)).status).toBe(201);
    const answers = await Promise.all(['two', 'three'].map((name) => define(name, 1)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    const stale = answers.find(({ status }) => status === 409);
    expect(stale?.body).toMatchObject({ code: 'stale-version', message: expect.stringContaining('is at version 2') });
  });

  test('a variant with stored units cannot be removed, not even from a draft', async () => {
    await defined({ key: 'imported-draft', status: 'draft' });
    const item = { experiment: 'imported-draft', unit_type: 'user', unit_id: 'before', variant: 'treatment' };
    expect((await service.call('POST', '/v1/assignments/import', { assignments: [item] })).status).toBe(200);
    const [control] = definitionOf().variants;
    expect(await define({ key: 'imported-draft', status: 'draft', variants: [control!] })).toMatchObject({
      status: 409,
      body: {
        field: 'variants',
        message: 'variants: variant treatment cannot be removed: 1 units are stored with it',
      },
    });
  });

  test.each([
    ['a transition that the state does not allow', 'transitions', { to: 'archived' }, 409, 'to'],
    ['an unknown status', 'transitions', { to: 'stopped' }, 400, 'to'],
    ['a winner of a pause', 'transitions', { to: 'paused', winner: 'control' }, 409, 'winner'],
    ['a winner that is no variant', 'transitions', { to: 'completed', winner: 'purple' }, 409, 'winner'],
    ['all_to without a variant', 'serving', { mode: 'all_to' }, 409, 'variant'],
    ['an unknown variant for all', 'serving', { mode: 'all_to', variant: 'purple' }, 409, 'variant'],
    ['coverage with five decimals', 'coverage', { coverage: 0.12345 }, 400, 'coverage'],
    ['no reason', 'coverage', { coverage: 0.2, reason: undefined }, 400, 'reason'],
    ['no version', 'coverage', { coverage: 0.2, expected_version: undefined }, 400, 'expected_version'],
  ])('refuses %s and names the field', async (_name, what, body, status, field) => {
    const { version } = await defined({ key: 'commands', name: 'Commands' });
    const answer = await change('commands', what, { expected_version: version, reason: 'test', ...body });
    expect(answer).toMatchObject({ status, body: { field } });
    expect((await service.call('GET', '/v1/experiments/commands')).body).toMatchObject({ version });
  });

  test('an unknown experiment is 404', async () => {
    const body = { coverage: 0.5, expected_version: 1, reason: 'test' };
    expect((await change('nowhere', 'coverage', body)).status).toBe(404);
    expect((await service.call('GET', '/v1/experiments/nowhere')).status).toBe(404);
  });

  test('the list can be narrowed, and an unknown filter is refused', async () => {
    await defined({ key: 'listed', unit_type: 'kiosk', status: 'draft' });
    const answer = await service.call('GET', '/v1/experiments?unit_type=kiosk&status=draft');
    expect((answer.body as { experiments: Document[] }).experiments.map(({ key }) => key)).toEqual(['listed']);
    expect((await service.call('GET', '/v1/experiments?unit=kiosk')).status).toBe(400);
  });
});
