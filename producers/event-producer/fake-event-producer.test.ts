// The fake keeps the same contract as the real producer, so tests that use it prove something.
import { describeEventProducerContract } from '#producers/event-producer/event-producer.contract.ts';
import { createFakeEventProducer } from '#producers/event-producer/fake-event-producer.ts';

const made: ReturnType<typeof createFakeEventProducer>[] = [];

/** The event id is the first field of the Avro record: after 5 bytes of framing and one byte of length. */
function eventIdOf(value: Buffer): string {
  return value.toString('utf8', 6, 42);
}

describeEventProducerContract('the fake event producer', {
  create: async (limits) => {
    const producer = createFakeEventProducer({ limits });
    made.push(producer);
    return producer;
  },
  readEventIds: async (unitId) =>
    made
      .flatMap((producer) => producer.requests.flat())
      .filter((record) => record.key === `user:${unitId}`)
      .map((record) => eventIdOf(record.value)),
});
