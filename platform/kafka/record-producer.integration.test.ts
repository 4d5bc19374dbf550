// The record producer against a real broker whose answers get lost: what it acknowledges is on the topic, and it recovers by itself.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRecordProducer } from '#platform/kafka/record-producer.ts';
import { type CuttableLink, createCuttableLink } from '#producers/event-producer/cuttable-link.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let topics: TestTopics;
let link: CuttableLink;

beforeAll(async () => {
  topics = await createTestTopics(['eventsDeadLetter']);
  link = await createCuttableLink({ brokers: stackEndpoints().kafka.brokers });
});
afterAll(async () => {
  await link?.[Symbol.asyncDispose]();
  await topics?.drop();
});

/** A new topic may have no leader yet, and a link that was cut a moment ago may still show it. */
const sendInTheEnd = (what: string, send: () => Promise<void>): Promise<boolean> =>
  until(what, () =>
    send().then(
      () => true,
      () => false,
    ),
  );

const valuesOnTopic = async (): Promise<Set<string>> =>
  new Set((await topics.readAll('eventsDeadLetter')).map(({ value }) => String(value)));

it('acknowledges nothing that is missing, when the answer of another send was lost', async () => {
  const topic = topics.name('eventsDeadLetter');
  const producer = createRecordProducer({ kafka: link.kafka, retries: 1 });
  const send = (value: string): Promise<void> =>
    producer.send(topic, [{ key: 'same partition', value: Buffer.from(value) }]);
  const acknowledged: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    await sendInTheEnd('a send before the loss', () => send(`before ${round}`));
    link.become('answers-lost');
    // Several flushes at once use one producer for their dead letters.
    const values = Array.from({ length: 4 }, () => randomUUID());
    const sends = values.map((value) => send(value).then(() => acknowledged.push(value)));
    const settled = Promise.allSettled(sends);
    await until('a request has reached the broker', () => link.lostBytes() > 0);
    await sends[0]!.catch(() => undefined);
    link.become('open');
    await settled;
  }
  const onTopic = await valuesOnTopic();
  expect(acknowledged.filter((value) => !onTopic.has(value))).toEqual([]);
  expect(acknowledged.length).toBeGreaterThan(0);
  await producer.disconnect();
}, 120_000);

it('goes on by itself after its connections were cut', async () => {
  const topic = topics.name('eventsDeadLetter');
  const producer = createRecordProducer({ kafka: link.kafka, retries: 1 });
  const send = (value: string): Promise<void> => producer.send(topic, [{ key: 'k', value: Buffer.from(value) }]);
  await sendInTheEnd('a first send', () => send('first'));
  link.become('cut');
  await expect(send('lost')).rejects.toThrow('did not acknowledge');
  link.become('open');
  await sendInTheEnd('a send afterwards', () => send('second'));
  expect(await valuesOnTopic()).toContain('second');
  await producer.disconnect();
});
