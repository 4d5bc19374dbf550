// What every adapter of the consumer port promises, run against real Kafka.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Admin, type Kafka, type Message } from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeError } from '#platform/errors.ts';
import type { ConsumerMember, ConsumerMemberOptions, FetchedBatch } from '#platform/kafka/consumer-port.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import { waitForLeaders } from '#platform/kafka/topic-admin.ts';
import { until } from '#tests/support/poll.ts';

export type ConsumerAdapter = {
  readonly name: string;
  readonly hasStaticMembership: boolean;
  create(options: ConsumerMemberOptions): ConsumerMember;
};

type Reader = {
  readonly member: ConsumerMember;
  /** What happened to the member, in order. */
  readonly log: string[];
  readonly batches: FetchedBatch[];
  readonly crashes: unknown[];
  owned(): readonly number[];
  records(): KafkaRecord[];
  values(): string[];
};

const { Partitioners } = kafkajs;

/** What the topic of the Java producer holds, in this order, each with a header `codec` and a header without a value. */
export const javaCodecs = ['gzip', 'lz4', 'snappy', 'zstd'] as const;
export const javaValueOf = (codec: string): string => `${codec} `.repeat(300);

/** @param subject the connection, another adapter that may be in the same group, a topic that Kafka's own producer wrote. */
export function describeConsumerContract(
  adapter: ConsumerAdapter,
  subject: { kafka: () => Kafka; neighbor: ConsumerAdapter; javaTopic: () => Promise<string> },
): void {
  describe(`${adapter.name} keeps the contract of the consumer port`, () => {
    let admin: Admin;
    const topicNames: string[] = [];
    const open: ConsumerMember[] = [];

    beforeAll(async () => {
      admin = subject.kafka().admin();
      await admin.connect();
    });
    afterEach(async () => {
      await Promise.all(open.splice(0).map((member) => member.stop()));
    });
    afterAll(async () => {
      await admin?.deleteTopics({ topics: topicNames });
      await admin?.disconnect();
    });

    const newGroup = (): string => `contract-${randomBytes(6).toString('hex')}`;
    const createTopic = async (partitions: number): Promise<string> => {
      const topic = newGroup();
      topicNames.push(topic);
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: false });
      await waitForLeaders(admin, [topic]);
      return topic;
    };

    const produce = async (
      topic: string,
      messages: readonly (Omit<Message, 'value'> & { value: string | null })[],
      options: { transaction?: 'commit' | 'abort' } = {},
    ): Promise<void> => {
      const producer = subject.kafka().producer({
        createPartitioner: Partitioners.DefaultPartitioner,
        ...(options.transaction === undefined
          ? {}
          : { transactionalId: newGroup(), maxInFlightRequests: 1, idempotent: true }),
      });
      await producer.connect();
      const record = {
        topic,
        messages: messages.map((message) => ({ partition: 0, ...message })),
      };
      if (options.transaction === undefined) await producer.send(record);
      else {
        const endOfLog = async () => BigInt((await admin.fetchTopicOffsets(topic))[0]!.high);
        const marker = (await endOfLog()) + BigInt(messages.length);
        const transaction = await producer.transaction();
        await transaction.send(record);
        await transaction[options.transaction]();
        // The broker answers before it writes the marker, so that records of a later transaction could come before it.
        await until('the transaction is marked', async () => (await endOfLog()) > marker);
      }
      await producer.disconnect();
    };
    const numbered = (prefix: string, count: number, partition = 0) =>
      Array.from({ length: count }, (_, index) => ({ value: `${prefix}${index}`, partition }));

    /** Reads each owned partition from its start, unless `onAssigned` does something else. */
    const startReader = async (
      options: Partial<ConsumerMemberOptions> & { topic: string },
      behavior: {
        using?: ConsumerAdapter;
        onAssigned?: (member: ConsumerMember, partitions: readonly number[]) => void;
        onFetched?: (batch: FetchedBatch, member: ConsumerMember) => Promise<void> | void;
      } = {},
    ): Promise<Reader> => {
      const member = (behavior.using ?? adapter).create({
        groupId: newGroup(),
        sessionTimeoutMs: 6_000,
        ...options,
      });
      const log: string[] = [];
      const batches: FetchedBatch[] = [];
      const crashes: unknown[] = [];
      let owned: readonly number[] = [];
      open.push(member);
      await member.start({
        assigned: (partitions) => {
          owned = partitions;
          log.push(`assigned ${partitions.toSorted((a, b) => a - b).join(' ')}`.trim());
          if (behavior.onAssigned !== undefined) {
            behavior.onAssigned(member, partitions);
            return;
          }
          for (const partition of partitions) {
            member.seek(partition, 0n);
            member.resume(partition);
          }
        },
        revoked: () => {
          owned = [];
          log.push('revoked');
        },
        fetched: async (batch) => {
          batches.push(batch);
          await behavior.onFetched?.(batch, member);
        },
        crashed: (error) => {
          crashes.push(error);
          log.push('crashed');
        },
      });
      const records = (): KafkaRecord[] => batches.flatMap((batch) => batch.records);
      return {
        member,
        log,
        batches,
        crashes,
        owned: () => owned,
        records,
        values: () => records().map(({ value }) => String(value)),
      };
    };
    const untilOwned = (reader: Reader, count: number) =>
      until(`${count} partitions are assigned`, () => reader.owned().length === count);
    const untilRead = (reader: Reader, count: number) =>
      until(`${count} records are read, not ${reader.records().length}`, () => reader.records().length >= count);

    it('delivers nothing before a partition is resumed, then everything from where it was sought', async () => {
      const topic = await createTopic(2);
      await produce(topic, numbered('v', 20));
      const reader = await startReader({ topic }, { onAssigned: () => undefined });
      await untilOwned(reader, 2);
      await sleep(400);
      expect(reader.batches).toEqual([]);
      reader.member.seek(0, 5n);
      reader.member.resume(0);
      await untilRead(reader, 15);
      expect(reader.values()).toEqual(
        numbered('v', 20)
          .map(({ value }) => value)
          .slice(5),
      );
      expect(reader.batches[0]).toMatchObject({ partition: 0, fetchedFrom: 5n, highWatermark: 20n });
      expect(reader.batches.at(-1)!.nextOffset).toBe(20n);
    });

    it('delivers a record as it was written: key, value or tombstone, headers, append time', async () => {
      const topic = await createTopic(1);
      const before = Date.now();
      await produce(topic, [
        { key: 'k', value: 'v', headers: { a: 'x', b: Buffer.from([0, 255]) }, timestamp: '1000' },
        { value: null },
      ]);
      const reader = await startReader({ topic });
      await untilRead(reader, 2);
      const [first, second] = reader.records();
      expect(first).toMatchObject({ topic, partition: 0, offset: 0n });
      expect([String(first!.key), String(first!.value)]).toEqual(['k', 'v']);
      expect(Object.keys(first!.headers)).toEqual(['a', 'b']);
      expect([...first!.headers.b!]).toEqual([0, 255]);
      // Topics carry the time at which the broker appended, not the one that the producer claims.
      expect(first!.timestampMs).toBeGreaterThanOrEqual(before - 1_000);
      expect([second!.key, second!.value, second!.headers]).toEqual([null, null, {}]);
    });

    it("reads what Kafka's own producer wrote with each codec, also with a header that is null", async () => {
      const reader = await startReader({ topic: await subject.javaTopic() });
      await untilRead(reader, javaCodecs.length);
      expect(
        reader.records().map(({ headers, value }) => [Object.keys(headers), String(headers.codec), String(value)]),
      ).toEqual(javaCodecs.map((codec) => [['codec'], codec, javaValueOf(codec)]));
      expect(reader.crashes).toEqual([]);
    });

    it('delivers no aborted record and passes over what is not delivered, also at the end of the log', async () => {
      const topic = await createTopic(1);
      await produce(topic, numbered('lost', 3), { transaction: 'abort' });
      await produce(topic, numbered('kept', 2), { transaction: 'commit' });
      await produce(topic, numbered('gone', 2), { transaction: 'abort' });
      const reader = await startReader({ topic });
      await until('the end of the log is passed', () => reader.batches.at(-1)?.nextOffset === 10n);
      expect(reader.values()).toEqual(['kept0', 'kept1']);
      expect(reader.records().map(({ offset }) => offset)).toEqual([4n, 5n]);
    });

    it('stops a paused partition, goes on with the others, and continues without gap or repeat', async () => {
      const topic = await createTopic(2);
      const reader = await startReader({ topic });
      await untilOwned(reader, 2);
      await produce(topic, [...numbered('a', 3, 0), ...numbered('b', 3, 1)]);
      await untilRead(reader, 6);
      reader.member.pause(0);
      await produce(topic, [...numbered('c', 3, 0), ...numbered('d', 3, 1)]);
      await untilRead(reader, 9);
      await sleep(300);
      expect(reader.records()).toHaveLength(9);
      reader.member.resume(0);
      await untilRead(reader, 12);
      const offsets = reader
        .records()
        .filter(({ partition }) => partition === 0)
        .map(({ offset }) => offset);
      expect(offsets).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
    });

    it('delivers again from where it was sought, and not what had been fetched before', async () => {
      const topic = await createTopic(1);
      for (let batch = 0; batch < 10; batch += 1) await produce(topic, numbered('v', 5));
      let seeks = 0;
      const reader = await startReader(
        { topic, maxBytesPerPartition: 300 },
        {
          // A small batch at a time, so that more has been fetched, or is on its way, when the seek comes.
          onFetched: (batch, member) => {
            if (batch.nextOffset < 20n || seeks > 0) return;
            seeks += 1;
            member.seek(0, 3n);
          },
        },
      );
      await until('the end is read', () => reader.batches.at(-1)?.nextOffset === 50n);
      const offsets = reader.records().map(({ offset }) => Number(offset));
      const turn = offsets.findIndex((offset, index) => index > 0 && offset < offsets[index - 1]!);
      expect(offsets[turn]).toBe(3);
      expect(offsets.slice(0, turn)).toEqual(Array.from({ length: turn }, (_, index) => index));
      expect(offsets.slice(turn)).toEqual(Array.from({ length: 47 }, (_, index) => index + 3));
    });

    it('continues at the log start when the position was deleted, and says so', async () => {
      const topic = await createTopic(1);
      await produce(topic, numbered('v', 10));
      // kafkajs looks for the leader only in what it already knows.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '6' }] });
      const reader = await startReader({ topic });
      await untilRead(reader, 4);
      expect(reader.batches[0]).toMatchObject({ fetchedFrom: 6n });
      expect(reader.values()).toEqual(['v6', 'v7', 'v8', 'v9']);
    });

    it('shares the partitions with a second member, of whichever client, and takes them back when it leaves', async () => {
      const topic = await createTopic(4);
      const groupId = newGroup();
      const first = await startReader({ topic, groupId });
      await untilOwned(first, 4);
      for (const using of [adapter, subject.neighbor]) {
        const second = await startReader({ topic, groupId }, { using });
        await until('both have half', () => first.owned().length === 2 && second.owned().length === 2);
        expect([...first.owned(), ...second.owned()].toSorted()).toEqual([0, 1, 2, 3]);
        await second.member.stop();
        open.splice(open.indexOf(second.member), 1);
        await untilOwned(first, 4);
        expect(second.crashes).toEqual([]);
      }
      // It is told of each loss before it is given anything new.
      const changes = first.log.map((entry) => entry.split(' ')[0]);
      expect(changes.filter((change) => change === 'assigned').length).toBeGreaterThanOrEqual(5);
      for (const [index, change] of changes.entries())
        if (index > 0 && change === 'assigned') expect(changes[index - 1]).toBe('revoked');
    });

    it('tells Kafka where the group is', async () => {
      const topic = await createTopic(2);
      const groupId = newGroup();
      const reader = await startReader({ topic, groupId });
      await untilOwned(reader, 2);
      await reader.member.commit(
        new Map([
          [0, 7n],
          [1, 0n],
        ]),
      );
      const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
      expect(found!.partitions.map(({ partition, offset }) => `${partition}:${offset}`).toSorted()).toEqual([
        '0:7',
        '1:0',
      ]);
    });

    it('reports a refusal that no later try can cure, once, and gives everything up', async () => {
      const topic = await createTopic(1);
      // Brokers have a largest session timeout, half an hour by default.
      const reader = await startReader({ topic, sessionTimeoutMs: 4_000_000 }).catch((error: unknown) => ({
        crashes: [error],
        owned: () => [],
      }));
      await until('the refusal is reported', () => reader.crashes.length > 0);
      expect(describeError(reader.crashes[0])).toMatch(/session timeout/i);
      expect(reader.owned()).toEqual([]);
      await sleep(300);
      expect(reader.crashes).toHaveLength(1);
    });

    it('ends when its records cannot be taken', async () => {
      const topic = await createTopic(1);
      await produce(topic, numbered('v', 3));
      const reader = await startReader(
        { topic },
        {
          onFetched: () => {
            throw new TypeError('a defect of ours');
          },
        },
      );
      await until('the defect is reported', () => reader.crashes.length > 0);
      expect(describeError(reader.crashes[0])).toContain('a defect of ours');
    });

    it('is idle while there is nothing to read', async () => {
      const topic = await createTopic(4);
      const reader = await startReader({ topic });
      await untilOwned(reader, 4);
      const original = globalThis.setTimeout;
      const warnings: string[] = [];
      const onWarning = (warning: Error): void => void warnings.push(warning.name);
      process.on('warning', onWarning);
      let timers = 0;
      globalThis.setTimeout = Object.assign((...args: Parameters<typeof original>) => {
        timers += 1;
        return original(...args);
      }, original) as typeof original;
      try {
        await sleep(1_000);
      } finally {
        globalThis.setTimeout = original;
        process.off('warning', onWarning);
      }
      // About ten fetches; kafkajs without its guard has thousands of timers.
      expect(timers).toBeLessThan(200);
      expect(warnings).not.toContain('TimeoutNegativeWarning');
    });

    if (adapter.hasStaticMembership)
      it('comes back under its name within the session timeout, and the other members do not notice', async () => {
        const topic = await createTopic(4);
        const groupId = newGroup();
        const named = (instanceId: string) => startReader({ topic, groupId, instanceId });
        const stays = await named('stays');
        const before = await named('restarts');
        await until('both have half', () => stays.owned().length === 2 && before.owned().length === 2);
        const owned = [...before.owned()];
        const changes = stays.log.length;
        await before.member.stop();
        open.splice(open.indexOf(before.member), 1);
        const after = await named('restarts');
        await untilOwned(after, 2);
        expect([...after.owned()]).toEqual(owned);
        await produce(
          topic,
          owned.map((partition) => ({ value: 'after the restart', partition })),
        );
        await untilRead(after, 2);
        expect(stays.log.slice(changes)).toEqual([]);
      });
  });
}
