// Baseline process: the ingestion service as it is, but its events go nowhere: keys, limits, parsing, all rules, the same answer.
//
// What is left out is what the comparison is about: encoding, the queue, Kafka and its acknowledgement.
import { ingestionServiceConfig } from '#api/ingestion-service/config.ts';
import { startService } from '#api/ingestion-service/start-service.ts';
import { eventKeyOf, findEventProblem } from '#domain/event/parse-event.ts';
import { runMain } from '#platform/process/run-main.ts';
import type { EncodedEvent, EventProducer } from '#producers/event-producer/event-producer.ts';
import type { Delivery } from '#producers/event-producer/send-queue.ts';

const nothing = Buffer.alloc(0);
const acknowledged: Delivery = { status: 'acknowledged' };

function createProducerToNowhere(eventTime: { earliestMs: number; maxAheadMs: number }): EventProducer {
  return {
    encode: (event) => {
      const latestMs = Date.now() + eventTime.maxAheadMs;
      const problem = findEventProblem(event, { earliestMs: eventTime.earliestMs, latestMs });
      if (problem !== undefined) return { ok: false, problem };
      return { ok: true, record: { key: eventKeyOf(event), value: nothing, bytes: 0 } as EncodedEvent };
    },
    sendEach: async (records) => records.map(() => acknowledged),
    send: async () => undefined,
    depth: () => ({ records: 0, bytes: 0 }),
    isFailing: () => false,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

await runMain({
  service: 'ingestion-service',
  config: ingestionServiceConfig,
  start: async ({ config, log, metrics, resources }) => {
    const producer = createProducerToNowhere(config.eventTime);
    const app = await startService({ config, log, metrics, resources, producer });
    await app.listen(config.http);
  },
});
