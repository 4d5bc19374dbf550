// Units on real Postgres with two instances: what is stored, why, which identity wins, and what erasing leaves.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import { createAssignmentOutbox } from '#producers/assignment-publisher/assignment-outbox.ts';
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
  await addApiKey(database, 'only-assigns', ['assign']);
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

type Document = { experiment_id: string; version: number; variants: { variant_id: string; name: string }[] };
type Answer = { assignments: { experiment_key: string; variant_name: string; source: string; stored: boolean }[] };

async function define(overrides: Partial<DefinitionBody>): Promise<Document> {
  const answer = await service.call('POST', '/v1/experiments', definitionOf(overrides));
  expect([200, 201], JSON.stringify(answer.body)).toContain(answer.status);
  return answer.body as Document;
}
const assign = async (instance: ServiceInstance, unitId: string, keys: string[], enroll = true): Promise<Answer> => {
  const answer = await instance.call('POST', '/v1/assignments', {
    unit_type: 'user',
    unit_id: unitId,
    requested_experiments: keys,
    enroll,
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body as Answer;
};
/** Stores a variant of our choice, whatever the hash says. */
async function store(unitId: string, experiment: string, variant: string): Promise<void> {
  const answer = await service.call('POST', '/v1/assignments/import', {
    assignments: [{ unit_type: 'user', unit_id: unitId, experiment, variant }],
  });
  expect(answer.body).toMatchObject({ imported: 1 });
}
const read = (unitId: string, options?: { key: string }) =>
  service.call('GET', `/v1/units/user/${encodeURIComponent(unitId)}/assignments`, undefined, options);
const explain = (key: string, query: Record<string, string>) =>
  service.call('GET', `/v1/experiments/${key}/explain?${new URLSearchParams(query)}`);
const storedOf = async (unitId: string) =>
  (
    await database.pool.query<{ key: string; variant: string; source: string }>(
      `SELECT x.key, v.name AS variant, a.source FROM exp.assignments a JOIN exp.variants v ON v.id = a.variant_id
       JOIN exp.experiments x ON x.id = a.experiment_id WHERE a.unit_id = $1 ORDER BY x.key`,
      [unitId],
    )
  ).rows;

describe('what is stored about a unit', () => {
  test('is told with the changes of the experiment since then', async () => {
    const { experiment_id: id } = await define({ key: 'history', coverage: 0.5 });
    await store('unit/with ümlaut', 'history', 'treatment');
    const change = await service.call('POST', '/v1/experiments/history/coverage', {
      coverage: 0.75,
      expected_version: 1,
      reason: 'more of them',
    });
    expect(change.status, JSON.stringify(change.body)).toBe(200);
    const { status, body } = await read('unit/with ümlaut');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      unit_type: 'user',
      unit_id: 'unit/with ümlaut',
      links: [],
      assignments: [
        {
          experiment_id: id,
          experiment_key: 'history',
          iteration: 1,
          is_current_iteration: true,
          variant_name: 'treatment',
          experiment_version: 1,
          source: 'imported',
          changes_since: [{ version: 2, reason: 'more of them' }],
        },
      ],
    });
  });

  test('is nothing for an unknown unit, and needs the scope', async () => {
    expect((await read('nobody')).body).toMatchObject({ assignments: [], links: [] });
    expect((await read('nobody', { key: 'only-assigns' })).status).toBe(403);
  });
});

describe('explain', () => {
  test('says bucket, ranges, version and that the row would be stored, and stores nothing', async () => {
    await define({ key: 'explained' });
    const { status, body } = await explain('explained', { unit_id: 'asked' });
    expect(status).toBe(200);
    const answer = await assign(service, 'asked', ['explained'], false);
    const name = answer.assignments[0]?.variant_name;
    expect(body).toMatchObject({
      experiment_version: 1,
      unit_type: 'user',
      coverage: 1,
      ranges: [
        { variant_name: 'control', start: 0, end: 5_000, full_end: 5_000 },
        { variant_name: 'treatment', start: 5_000, end: 10_000, full_end: 10_000 },
      ],
      stored: null,
      targeting: null,
      layer: null,
      answer: { variant_name: name, reason: 'assigned', would_store: true },
    });
    expect((body as { why: string[] }).why).toEqual([
      'No row is stored, and the experiment enrolls units now.',
      `Bucket ${(body as { bucket: number }).bucket} lies in the range of ${name}.`,
      `Serving is as_assigned: the unit gets ${name}.`,
    ]);
    expect(await storedOf('asked')).toEqual([]);
  });

  test('says which check keeps the unit out', async () => {
    await define({ key: 'for-germans', targeting: { country: 'DE' } });
    const outside = await explain('for-germans', { unit_id: 'asked', context: '{"country":"FR"}' });
    expect(outside.body).toMatchObject({
      targeting: { condition: { country: 'DE' }, context: { country: 'FR' }, is_targeted: false },
      answer: { variant_id: null, reason: 'not-targeted', would_store: false },
    });
    expect((outside.body as { why: string[] }).why).toContain('Targeting does not admit the given context.');
    const inside = await explain('for-germans', { unit_id: 'asked', context: '{"country":"DE"}' });
    expect(inside.body).toMatchObject({ answer: { reason: 'assigned' } });
  });

  test('a stored row wins over what the hash says', async () => {
    await define({ key: 'overruled' });
    const { body } = await explain('overruled', { unit_id: 'overruled-1' });
    const byHash = (body as { answer: { variant_name: string } }).answer.variant_name;
    const opposite = byHash === 'control' ? 'treatment' : 'control';
    await store('overruled-1', 'overruled', opposite);
    expect((await explain('overruled', { unit_id: 'overruled-1' })).body).toMatchObject({
      stored: { source: 'imported', variant_name: opposite },
      answer: { variant_name: opposite, reason: 'stored', would_store: false },
    });
  });

  test.each([
    ['a context that is no JSON', { unit_id: 'u', context: '{' }, 400],
    ['a context that is no object', { unit_id: 'u', context: '[]' }, 400],
    ['no unit', {}, 400],
  ])('%s is refused', async (_name, query, status) => {
    expect((await explain('explained', query as Record<string, string>)).status).toBe(status);
  });

  test('an unknown experiment is 404', async () => {
    expect((await explain('nothing', { unit_id: 'u' })).status).toBe(404);
  });
});

describe('linking two identities', () => {
  const link = async (anonymousUnitId: string, unitId: string) => {
    const answer = await service.call('POST', '/v1/units/link', {
      unit_type: 'user',
      anonymous_unit_id: anonymousUnitId,
      unit_id: unitId,
    });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    return answer.body as { conflicts: number; assignments: { experiment_key: string; outcome: string }[] };
  };
  const outcomes = ({ assignments }: Awaited<ReturnType<typeof link>>) =>
    Object.fromEntries(assignments.map(({ experiment_key: key, outcome }) => [key, outcome]));
  const excluded = async (unitId: string) =>
    (
      await database.pool.query<{ key: string; reason: string }>(
        `SELECT x.key, e.reason FROM exp.v_excluded_units e JOIN exp.experiments x ON x.id = e.experiment_id
         WHERE e.unit_id = $1 ORDER BY 1`,
        [unitId],
      )
    ).rows;

  test('the logged-in row wins, else the variant is inherited, and conflicts are excluded from results', async () => {
    for (const key of ['link-inherits', 'link-same', 'link-differs', 'link-nothing']) await define({ key });
    await store('visitor', 'link-inherits', 'treatment');
    await store('visitor', 'link-same', 'treatment');
    await store('visitor', 'link-differs', 'treatment');
    await store('member', 'link-same', 'treatment');
    await store('member', 'link-differs', 'control');
    const linked = await link('visitor', 'member');
    expect(outcomes(linked)).toEqual({
      'link-inherits': 'inherited',
      'link-same': 'same',
      'link-differs': 'conflict',
    });
    expect(linked.conflicts).toBe(1);
    expect(await storedOf('member')).toEqual([
      { key: 'link-differs', variant: 'control', source: 'imported' },
      { key: 'link-inherits', variant: 'treatment', source: 'inherited' },
      { key: 'link-same', variant: 'treatment', source: 'imported' },
    ]);
    for (const unitId of ['visitor', 'member']) {
      expect(await excluded(unitId)).toEqual([{ key: 'link-differs', reason: 'identity-conflict' }]);
    }
    for (const instance of [service, other]) {
      const { assignments } = await assign(instance, 'member', ['link-inherits', 'link-differs']);
      expect(assignments.map(({ variant_name: name, stored }) => [name, stored])).toEqual([
        ['treatment', true],
        ['control', true],
      ]);
    }
    expect((await read('member')).body).toMatchObject({
      links: [{ unit_id: 'member', anonymous_unit_id: 'visitor' }],
    });
  });

  test('linking again changes nothing that is stored', async () => {
    const before = await storedOf('member');
    const again = await link('visitor', 'member');
    expect(outcomes(again)).toEqual({ 'link-inherits': 'same', 'link-same': 'same', 'link-differs': 'conflict' });
    expect(await storedOf('member')).toEqual(before);
  });

  test('a link and first assignments on two instances at once agree on one row per unit', async () => {
    await define({ key: 'link-raced' });
    const units = Array.from({ length: 40 }, (_, index) => index);
    for (const index of units) await assign(service, `raced-visitor-${index}`, ['link-raced']);
    const answers = await Promise.all(
      units.map(async (index) => {
        const [linked, first, second] = await Promise.all([
          link(`raced-visitor-${index}`, `raced-member-${index}`),
          assign(service, `raced-member-${index}`, ['link-raced']),
          assign(other, `raced-member-${index}`, ['link-raced']),
        ]);
        return { linked, variants: [first, second].map(({ assignments }) => assignments[0]?.variant_name) };
      }),
    );
    for (const index of units) {
      const [row] = await storedOf(`raced-member-${index}`);
      expect(answers[index]!.variants).toEqual([row!.variant, row!.variant]);
      const [visitor] = await storedOf(`raced-visitor-${index}`);
      const isConflict = outcomes(answers[index]!.linked)['link-raced'] === 'conflict';
      expect(isConflict).toBe(visitor!.variant !== row!.variant);
      expect(await excluded(`raced-member-${index}`)).toHaveLength(isConflict ? 1 : 0);
    }
  });

  test('a unit in one experiment of a layer enters no other one, whichever identity brought it there', async () => {
    await define({ key: 'layer-left', layer: { id: 'linked', start: 0, end: 0.5 } });
    await define({ key: 'layer-right', layer: { id: 'linked', start: 0.5, end: 1 } });
    const sideOf = async (unitId: string): Promise<string> =>
      (await assign(service, unitId, ['layer-left', 'layer-right'], false)).assignments[0]!.experiment_key;
    const ids: Record<string, string[]> = { 'layer-left': [], 'layer-right': [] };
    for (let number = 0; Object.values(ids).some(({ length }) => length < 2); number += 1) {
      ids[await sideOf(`layered-${number}`)]!.push(`layered-${number}`);
    }
    const [visitor, otherVisitor] = ids['layer-left']!;
    const [member, otherMember] = ids['layer-right']!;

    // Inherits first: then its own hash would put it into the other experiment.
    await assign(service, visitor!, ['layer-left']);
    expect(outcomes(await link(visitor!, member!))).toEqual({ 'layer-left': 'inherited' });
    for (const instance of [service, other]) {
      const answer = (await assign(instance, member!, ['layer-left', 'layer-right'])) as Answer & {
        not_assigned: { experiment_key: string; reason: string }[];
      };
      expect(answer.assignments).toMatchObject([{ experiment_key: 'layer-left', source: 'inherited' }]);
      expect(answer.not_assigned).toMatchObject([{ experiment_key: 'layer-right', reason: 'in-layer-mate' }]);
    }
    const explained = await explain('layer-right', { unit_id: member! });
    expect(explained.body).toMatchObject({
      layer: { is_in_range: true, stored_in: 'layer-left' },
      answer: { reason: 'in-layer-mate', would_store: false },
    });
    expect((explained.body as { why: string[] }).why).toContain(
      'The unit is stored in layer-left, another experiment of layer linked.',
    );
    expect(await storedOf(member!)).toMatchObject([{ key: 'layer-left' }]);

    // Is in the other experiment already: then it does not inherit.
    await assign(service, otherVisitor!, ['layer-left']);
    await assign(other, otherMember!, ['layer-right']);
    const linked = await link(otherVisitor!, otherMember!);
    expect(linked).toMatchObject({ conflicts: 1, assignments: [{ outcome: 'conflict', variant_id: null }] });
    expect(await storedOf(otherMember!)).toMatchObject([{ key: 'layer-right', source: 'hashed' }]);
    expect(await excluded(otherVisitor!)).toEqual([{ key: 'layer-left', reason: 'identity-conflict' }]);
  });

  test('a unit that got into two experiments of a layer all the same is left out of the results of both', async () => {
    const unitId = 'in-both';
    await store(unitId, 'layer-left', 'treatment');
    await store(unitId, 'layer-right', 'treatment');
    expect(await excluded(unitId)).toEqual([
      { key: 'layer-left', reason: 'in-two-experiments-of-a-layer' },
      { key: 'layer-right', reason: 'in-two-experiments-of-a-layer' },
    ]);
  });

  test('whoever was a test unit once is left out, also with an earlier row and when it is named no more', async () => {
    const key = 'tested-later';
    await define({ key });
    await assign(service, 'tested', [key]);
    const isHashed = { key, source: 'hashed' };
    await define({ key, forced_variants: { tested: 'treatment' } });
    await define({ key, forced_variants: {} });
    expect(await storedOf('tested')).toMatchObject([isHashed]);
    expect(await excluded('tested')).toEqual([{ key, reason: 'forced' }]);
  });

  test('a forced variant is not inherited, and an id is not linked to itself', async () => {
    const { variants } = await define({ key: 'link-forced', forced_variants: { tester: 'treatment' } });
    expect(variants).toHaveLength(2);
    await assign(service, 'tester', ['link-forced']);
    expect(await excluded('tester')).toEqual([{ key: 'link-forced', reason: 'forced' }]);
    expect(outcomes(await link('tester', 'tester-logged-in'))).toEqual({});
    const self = await service.call('POST', '/v1/units/link', {
      unit_type: 'user',
      anonymous_unit_id: 'a',
      unit_id: 'a',
    });
    expect(self.status).toBe(400);
  });
});

describe('erasing', () => {
  const erase = async (unitId: string, key = testKey) =>
    service.call('POST', '/v1/units/erase', { unit_type: 'user', unit_id: unitId }, { key });

  test('removes the rows, tells the topic, and every instance assigns the unit as new', async () => {
    const { experiment_id: id } = await define({ key: 'erased-from' });
    await store('leaver', 'erased-from', 'treatment');
    for (const instance of [service, other]) await assign(instance, 'leaver', ['erased-from']);
    const answer = await erase('leaver');
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    expect(answer.body).toMatchObject({ assignments: 1, events: 0, domain_rows: 0, named_in_experiments: [] });
    expect((answer.body as { pseudonym: string }).pseudonym).toMatch(/^erased-[0-9a-f-]{36}$/);
    expect(await storedOf('leaver')).toEqual([]);
    await until('both instances forget the row', async () => {
      const answers = await Promise.all([service, other].map((one) => assign(one, 'leaver', ['erased-from'], false)));
      return answers.every(({ assignments }) => assignments[0]?.stored === false);
    });
    await until('the tombstone is on the topic', async () => {
      const records = (await topics.readAll('assignments')).filter(({ key }) => key?.toString() === `${id}:leaver`);
      return records.length > 0 && records.at(-1)!.value === null;
    });
    await assign(other, 'leaver', ['erased-from']);
    expect((await storedOf('leaver')).map(({ source }) => source)).toEqual(['hashed']);
  });

  test('again keeps the pseudonym', async () => {
    const first = (await erase('leaver')).body as { pseudonym: string; assignments: number };
    const second = (await erase('leaver')).body as { pseudonym: string; assignments: number };
    expect(first.pseudonym).toBe(second.pseudonym);
    expect([first.assignments, second.assignments]).toEqual([1, 0]);
    expect(await storedOf('leaver')).toEqual([]);
  });

  test('the outbox forgets the id soon after it has told the topic', async () => {
    const waiting = () => database.pool.query(`SELECT kind FROM exp.assignment_outbox WHERE unit_id = 'leaver'`);
    await until('everything is published', async () => {
      const unpublished = await database.pool.query('SELECT 1 FROM exp.assignment_outbox WHERE published_at IS NULL');
      return unpublished.rowCount === 0;
    });
    expect(new Set((await waiting()).rows.map(({ kind }) => kind))).toEqual(new Set(['tombstone']));
    await database.pool.query(`UPDATE exp.assignment_outbox SET published_at = published_at - interval '11 minutes'`);
    const outbox = createAssignmentOutbox({ topic: 'unused', encoder: () => Promise.reject(new Error('unused')) });
    await outbox.purge(database.pool, 1_000);
    expect((await waiting()).rowCount).toBe(0);
  });

  test('tells of other ids and of definitions that name the unit', async () => {
    await define({ key: 'erase-forced', forced_variants: { 'named-one': 'treatment' } });
    await service.call('POST', '/v1/units/link', {
      unit_type: 'user',
      anonymous_unit_id: 'named-visitor',
      unit_id: 'named-one',
    });
    await assign(service, 'named-one', ['erase-forced']);
    const answer = await erase('named-one');
    expect(answer.body).toMatchObject({
      linked_unit_ids: ['named-visitor'],
      named_in_experiments: ['erase-forced'],
    });
    // Results go on leaving out what the test unit did.
    const { pseudonym } = answer.body as { pseudonym: string };
    const excluded = await database.pool.query('SELECT reason FROM exp.v_excluded_units WHERE unit_id = $1', [
      pseudonym,
    ]);
    expect(excluded.rows).toEqual([{ reason: 'forced' }]);
    expect((await database.pool.query(`SELECT 1 FROM exp.unit_links WHERE unit_id = 'named-one'`)).rowCount).toBe(0);
  });

  test('needs the scope admin, and is in the audit log without the id', async () => {
    expect((await erase('leaver', 'only-assigns')).status).toBe(403);
    const log = await database.pool.query<{ line: string }>(
      `SELECT row_to_json(l)::text AS line FROM exp.audit_log l WHERE action = 'erase-unit'`,
    );
    expect(log.rows.length).toBeGreaterThan(0);
    for (const { line } of log.rows) expect(line).not.toContain('leaver');
  });
});

test('an instance with another erasure key does not start', async () => {
  await expect(
    startInstance({
      database,
      kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
      registryUrl: stackEndpoints().schemaRegistry.url,
      settings: { erasure: { key: 'another key of at least 32 characters' } },
    }),
  ).rejects.toThrow('ERASURE_KEY');
});
