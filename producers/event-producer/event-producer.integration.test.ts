// The real producer against Kafka and the registry: the contract, and what happens when Kafka does not answer.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { type CuttableLink, createCuttableLink } from '#producers/event-producer/cuttable-link.ts';
import { describeEventProducerContract } from '#producers/event-producer/event-producer.contract.ts';
import { createEventProducer, type EventProducerOptions } from '#producers/event-producer/event-producer.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { readEvents } from '#tests/support/read-events.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let topics: TestTopics;

beforeAll(async () => {
  topics = await createTestTopics(['events']);
});
afterAll(async () => {
  await topics.drop();
});

function optionsOf(change: Partial<EventProducerOptions> = {}): EventProducerOptions {
  return {
    kafka: topics.kafka,
    registry: topics.registry,
    namespace: topics.namespace,
    eventTime: { earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 },
    log: createSilentLogger(),
    metrics: createMetrics({ service: 'test' }),
    ...change,
  };
}

const idsOf = async (unitId: string) =>
  (await readEvents(topics)).filter(({ event }) => event.unit_id === unitId).map(({ event }) => event.event_id);

describeEventProducerContract('the real event producer', {
  create: (limits) => createEventProducer(optionsOf({ limits })),
  readEventIds: idsOf,
});

describe('the real event producer', () => {
  it('writes what consumers decode as the same event, under the registered schema id', async () => {
    await using producer = await createEventProducer(optionsOf());
    const event = sampleEvent({
      unit_id: `ünit-${randomUUID()}`,
      context: { text: 'é', number: 1.5, flag: false, nothing: null },
      payload: '{"plan":[1,2]}',
    });
    await producer.send([event]);
    const read = (await readEvents(topics)).filter(({ key }) => key === `user:${event.unit_id}`);
    expect(read.map((record) => record.event)).toEqual([event]);
  });

  it('does not start when the schema is not registered, and does not register it', async () => {
    const elsewhere = optionsOf({ namespace: `${topics.namespace}.nowhere` });
    await expect(createEventProducer(elsewhere)).rejects.toThrow('.nowhere.exp.events.v1');
    await expect(createEventProducer(elsewhere)).rejects.toThrow('.nowhere.exp.events.v1');
  });

  it('goes on without the registry once it has started', async () => {
    let asked = 0;
    const registry = {
      idOf: (...args: Parameters<TestTopics['registry']['idOf']>) => {
        asked += 1;
        if (asked > 1) throw new Error('the registry is away');
        return topics.registry.idOf(...args);
      },
    };
    await using producer = await createEventProducer(optionsOf({ registry }));
    for (let round = 0; round < 3; round += 1) await producer.send([sampleEvent()]);
    expect(asked).toBe(1);
  });
});

describe('when Kafka does not answer', () => {
  let link: CuttableLink;
  beforeAll(async () => {
    link = await createCuttableLink({ brokers: stackEndpoints().kafka.brokers });
  });
  afterAll(() => link[Symbol.asyncDispose]());

  it('answers within the delivery timeout and recovers without a restart', async () => {
    await using producer = await createEventProducer(
      optionsOf({ kafka: link.kafka, limits: { deliveryTimeoutMs: 800 } }),
    );
    await producer.send([sampleEvent()]);
    link.become('cut');
    const startedAt = performance.now();
    await expect(producer.send([sampleEvent()])).rejects.toMatchObject({ name: 'RetryableError' });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await until('the producer says that Kafka fails', () => producer.isFailing());
    link.become('open');
    const unitId = `unit-${randomUUID()}`;
    const event = sampleEvent({ unit_id: unitId });
    await until('an event is acknowledged again', () =>
      producer.send([event]).then(
        () => true,
        () => false,
      ),
    );
    expect(new Set(await idsOf(unitId))).toEqual(new Set([event.event_id]));
    expect(producer.isFailing()).toBe(false);
  });

  it('starts while Kafka is away and sends when it is back', async () => {
    link.become('cut');
    await using producer = await createEventProducer(
      optionsOf({ kafka: link.kafka, limits: { deliveryTimeoutMs: 300 } }),
    );
    await expect(producer.send([sampleEvent()])).rejects.toThrow();
    link.become('open');
    await until('an event is acknowledged', () =>
      producer.send([sampleEvent()]).then(
        () => true,
        () => false,
      ),
    );
  });

  it('never acknowledges an event that the broker took for a repetition of an earlier one', async () => {
    await using producer = await createEventProducer(
      optionsOf({ kafka: link.kafka, limits: { deliveryTimeoutMs: 20_000 } }),
    );
    const unitId = `unit-${randomUUID()}`;
    await producer.send([sampleEvent({ unit_id: unitId })]);
    // Written by the broker, but no answer arrives: the producer gives this request up.
    link.become('answers-lost');
    const unanswered = sampleEvent({ unit_id: unitId });
    await expect(producer.send([unanswered])).rejects.toThrow();
    expect(link.lostBytes()).toBeGreaterThan(0);
    link.become('open');
    // The same number of records for the same partition: the same sequence numbers, if they were used again.
    const next = sampleEvent({ unit_id: unitId });
    await until('the next event is acknowledged', () =>
      producer.send([next]).then(
        () => true,
        () => false,
      ),
    );
    expect(await idsOf(unitId)).toContain(next.event_id);
  }, 60_000);
});
