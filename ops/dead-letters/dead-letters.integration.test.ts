// Dead letters on real Kafka, registry and Postgres: found, shown, retried without a double effect, discarded on record.
import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAssignmentLookup } from '#consumers/postgres-sink/assignment-lookup.ts';
import { createPostgresSink } from '#consumers/postgres-sink/sink.ts';
import { hashUnit } from '#domain/archive/erased-units.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import type { ArchiveCluster } from '#ops/cluster/cluster.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { createTestCluster } from '#tests/support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent, sampleExperiment } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { startTestMember, type TestMember } from '#tests/support/member.ts';
import { until } from '#tests/support/poll.ts';
import { type DeadLetterFilter, formatName, originHeader } from './dead-letter.ts';
import { describeLetter } from './describe-letter.ts';
import { readDeadLetters } from './read-dead-letters.ts';
import { applyRetry, discard, planRetry } from './resolve-dead-letters.ts';

const acting = { actor: 'tester', because: 'a test' };
const farAhead = Date.now() + 40 * 86_400_000;
let database: TestDatabase;
let kafka: TestTopics;
let cluster: ArchiveCluster;
let encode: (event: EventRecord) => Buffer;
let member: TestMember;

const startMember = async (maxAheadMs: number): Promise<TestMember> => {
  const pool = database.poolAs('postgres_sink');
  return startTestMember({
    namespace: kafka.namespace,
    groupId: 'postgres-sink',
    topic: topics.events,
    deadLetterTopic: topics.eventsDeadLetter,
    pool,
    parse: createEventParser({ earliestMs: Date.UTC(2015, 0, 1), maxAheadMs }),
    sink: createPostgresSink({ pool, assignments: createAssignmentLookup() }),
  });
};

const send = (values: readonly (Buffer | null)[]): Promise<void> =>
  kafka.producer().send(
    kafka.name('events'),
    values.map((value) => ({ key: 'user:unit-1', value })),
  );

const letters = async (filter: DeadLetterFilter = {}) => (await readDeadLetters(cluster, filter)).letters;

const untilLetters = (count: number, filter: DeadLetterFilter = {}) =>
  until(`${count} letters`, async () => {
    expect(member.failures).toEqual([]);
    const found = await letters(filter);
    return found.length === count && found;
  });

const countRows = async (eventId: string): Promise<number> =>
  (await database.pool.query('SELECT 1 FROM exp.events WHERE event_id = $1', [eventId])).rowCount ?? 0;

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'eventsDeadLetter'])]);
  cluster = createTestCluster(database, kafka);
  encode = await kafka.encoder<EventRecord>('events');
  member = await startMember(3_600_000);
});

afterAll(async () => {
  await member.stop();
  cluster.objectStore.close();
  await kafka.drop();
  await database.drop();
});

describe('dead letters', () => {
  it('are found by reason, experiment, time and group, and shown with their bytes and what can be read of them', async () => {
    expect(await letters()).toEqual([]);
    const garbage = randomBytes(50).fill(7, 0, 1);
    const early = sampleEvent({ event_time: farAhead });
    await send([garbage, encode(early)]);
    const found = await untilLetters(2);
    expect(found.map(({ reason, state }) => [reason, state])).toEqual([
      ['undecodable', 'open'],
      ['rule-violated', 'open'],
    ]);
    expect(await letters({ reasons: ['undecodable'] })).toHaveLength(1);
    expect(await letters({ experimentId: sampleExperiment.id })).toHaveLength(1);
    expect(await letters({ groupIds: ['another'] })).toEqual([]);
    expect(await letters({ from: new Date(Date.now() + 60_000) })).toEqual([]);
    expect(await letters({ to: new Date(Date.now() + 60_000) })).toHaveLength(2);

    const [raw, readable] = await Promise.all(found.map((letter) => describeLetter(cluster, letter)));
    expect(raw).toMatchObject({ event: null, valueBase64: garbage.toString('base64'), key: 'user:unit-1' });
    expect(readable!.event).toMatchObject({ event_id: early.event_id, metrics: early.metrics });
    expect(readable!.error).toContain('event_time');
  });

  it('count once when they are retried, also twice, and open again when they fail again', async () => {
    const [letter] = await letters({ reasons: ['rule-violated'] });
    const eventId = letter!.eventId!;
    const plan = await planRetry(cluster, [letter!]);
    expect(await letters({ states: ['open'] }), 'a plan changes nothing').toHaveLength(2);
    expect(await applyRetry(cluster, plan, acting)).toEqual({ sent: 1 });
    const [again] = await until('the second failure', async () => {
      const found = await letters({ reasons: ['rule-violated'] });
      return found[0]?.positions.length === 2 && found;
    });
    expect(again).toMatchObject({ state: 'open' });
    expect(formatName(again!), 'the name stays').toBe(formatName(letter!));

    // What was wrong is put right: this member accepts such times.
    await member.stop();
    member = await startMember(50 * 86_400_000);
    await applyRetry(cluster, await planRetry(cluster, [again!]), acting);
    await until('the event', async () => (await countRows(eventId)) === 1);
    expect(await letters({ names: [formatName(again!)] })).toMatchObject([{ state: 'retried' }]);

    await applyRetry(cluster, await planRetry(cluster, [again!]), acting);
    const sent = (await kafka.readAll('events')).length;
    await until('everything read', async () => {
      const stored = await database.pool.query<{ sum: bigint }>(
        'SELECT sum(next_offset)::bigint AS sum FROM exp.consumer_offsets',
      );
      return stored.rows[0]!.sum === BigInt(sent);
    });
    expect(await countRows(eventId)).toBe(1);
    expect(await letters({ states: ['open'] })).toHaveLength(1);
    const audited = await database.pool.query(
      `SELECT actor, detail ->> 'because' AS because FROM exp.audit_log WHERE action = 'dead-letters.retry'`,
    );
    expect(audited.rows).toEqual(Array.from({ length: 3 }, () => ({ actor: 'tester', because: 'a test' })));
  });

  it('send a record once that several groups refused, with its origin and its own headers', async () => {
    const [letter] = await letters({ reasons: ['undecodable'] });
    const other = { ...letter!, groupId: `${kafka.namespace}.dataset-builder` };
    const plan = await planRetry(cluster, [letter!, other]);
    expect(plan.records).toHaveLength(1);
    expect(plan.records[0]!.letters).toHaveLength(2);
    const { topic, partition, offset } = letter!.origin;
    expect(plan.records[0]!.outgoing.headers).toMatchObject({ [originHeader]: `${topic}:${partition}:${offset}` });
  });

  it('are discarded on record and stay discarded', async () => {
    const open = await letters({ states: ['open'] });
    expect(open).toHaveLength(1);
    await discard(cluster, open, { actor: 'tester', because: 'never was an event' });
    expect(await letters({ states: ['open'] })).toEqual([]);
    expect(await letters({ states: ['discarded'] })).toHaveLength(1);
    const audited = await database.pool.query(`SELECT detail FROM exp.audit_log WHERE action = 'dead-letters.discard'`);
    expect(audited.rows).toEqual([
      { detail: { count: 1, because: 'never was an event', letters: open.map(formatName) } },
    ]);
  });

  it('of an erased unit are never sent again, and without the right key nothing is', async () => {
    const event = sampleEvent({ event_id: randomUUID(), unit_id: 'forget-me', event_time: Date.UTC(2500, 0, 1) });
    await kafka.producer().send(kafka.name('events'), [{ key: eventKeyOf(event), value: encode(event) }]);
    const [letter] = await untilLetters(1, { states: ['open'] });
    await database.pool.query(
      `INSERT INTO exp.erasures (unit_hash, pseudonym, requested_by) VALUES ($1, 'erased-1', 'tester')`,
      [hashUnit('secret', 'user', 'forget-me')],
    );
    await expect(planRetry(cluster, [letter!])).rejects.toThrow('ERASURE_KEY');
    const plan = await planRetry({ ...cluster, erasureKey: 'secret' }, [letter!]);
    expect(plan.records).toEqual([]);
    expect(plan.erased).toEqual([letter]);
    const shown = await describeLetter({ ...cluster, erasureKey: 'secret' }, letter!);
    expect(JSON.stringify(shown)).not.toContain('forget-me');
    expect(shown).toMatchObject({
      key: '(of an erased unit)',
      event: null,
      valueBase64: null,
      reason: 'rule-violated',
    });
    const unreadable = { ...letter!, record: { ...letter!.record, value: Buffer.from('not an event') } };
    expect((await planRetry({ ...cluster, erasureKey: 'secret' }, [unreadable])).records, 'its key says whose').toEqual(
      [],
    );
    expect(JSON.stringify(await describeLetter({ ...cluster, erasureKey: 'secret' }, unreadable))).not.toContain(
      'forget-me',
    );
    const emptied = { ...letter!, record: { ...letter!.record, key: null, value: null } };
    expect((await planRetry({ ...cluster, erasureKey: 'secret' }, [emptied])).records).toEqual([]);
    await expect(planRetry({ ...cluster, erasureKey: 'another' }, [letter!])).rejects.toThrow(
      'ERASURE_KEY is not the key that this database was used with',
    );
  });
});
