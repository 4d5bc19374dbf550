// Example: a service that writes its events straight to the topic, with the typed producer of this repository.
import { v5 } from 'uuid';
import { kafkaSettings, registrySettings } from '#platform/config/common-settings.ts';
import { defineConfig, formatProblems, parseSettings } from '#platform/config/settings.ts';
import { createKafka } from '#platform/kafka/kafka-client.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { createLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { createEventProducer } from '../event-producer.ts';

const service = 'checkout-example';
/** Of this service alone: the same order is the same event, however often it is sent. */
const ordersNamespace = '0b3e6a52-6d0a-4c5e-9a6c-2f5d7b1c8e94';

const [userId = 'user-42', orderId = 'order-1001', orderedAt = '2026-02-03T04:05:06Z'] = process.argv.slice(2);
const parsed = parseSettings(defineConfig({ kafka: kafkaSettings, registry: registrySettings }), process.env);
if (!parsed.ok) {
  process.stderr.write(`${service}: ${formatProblems(parsed.problems)}\n`);
  process.exit(2);
}
const { kafka, registry } = parsed.settings;
const log = createLogger({ service, level: 'error' });

await using producer = await createEventProducer({
  kafka: createKafka({ ...kafka, clientId: service, log }),
  registry: createSchemaRegistry({ url: registry.url }),
  namespace: kafka.namespace,
  eventTime: { earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 },
  log,
  metrics: createMetrics({ service }),
});

const eventId = v5(orderId, ordersNamespace);
// Resolves when every in-sync replica has it. After a failure nobody knows: sending the same event again is safe.
await producer.send([
  {
    event_id: eventId,
    event_type: 'purchase',
    unit_type: 'user',
    unit_id: userId,
    experiments: [],
    context: { country: 'NO' },
    metrics: { revenue: 19.9 },
    payload: null,
    event_time: Date.parse(orderedAt),
    ingest_time: Date.now(),
    producer: service,
  },
]);
process.stdout.write(`acknowledged ${eventId}\n`);
