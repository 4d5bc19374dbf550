// Puts the parts of one service instance together, in the order in which they start; the caller releases them in reverse.
import type { FastifyInstance } from 'fastify';
import { createApiKeyStore } from '#api/authentication.ts';
import { createAcceptEvents } from '#api/ingestion-service/accept-events.ts';
import { createAdmission } from '#api/ingestion-service/admission.ts';
import { buildApp } from '#api/ingestion-service/app.ts';
import type { ingestionServiceConfig } from '#api/ingestion-service/config.ts';
import { createDefinitionStore } from '#api/ingestion-service/definitions.ts';
import { createRateLimiter } from '#api/shared-rate-limit.ts';
import type { SettingsOf } from '#platform/config/settings.ts';
import { createKafka, type Kafka } from '#platform/kafka/kafka-client.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import { type Tracing, tracingOff } from '#platform/telemetry/tracing.ts';
import { followDefinitionTopic } from '#producers/definition-store/definition-topic.ts';
import { createEventProducer, type EventProducer } from '#producers/event-producer/event-producer.ts';
import { inNamespace, topics } from '#schemas/topics.ts';

export type IngestionServiceSettings = SettingsOf<(typeof ingestionServiceConfig)['shape']>;

/**
 * Starts everything but the listening; what was acquired is on `resources`.
 * @throws when keys, definitions or the schema id cannot be loaded: after that the service works from memory.
 */
export async function startService(options: {
  config: IngestionServiceSettings;
  log: Logger;
  metrics: Metrics;
  tracing?: Tracing;
  resources: AsyncDisposableStack;
  /** A client to use instead of one made from the settings, such as one whose network fails on purpose. */
  kafka?: Kafka;
  /** A producer to use instead of one on Kafka. */
  producer?: EventProducer;
}): Promise<FastifyInstance> {
  const { config, log, metrics, tracing = tracingOff, resources } = options;
  const pool = createPostgresPool({
    ...config.postgres,
    applicationName: 'ingestion-service',
    onIdleError: (error) => log.warn({ err: error }, 'idle Postgres connection lost'),
  });
  resources.defer(() => pool.end());
  const keys = resources.use(createApiKeyStore({ pool, log }));
  await keys.start();
  const definitions = resources.use(createDefinitionStore({ pool, log }));
  await definitions.start();
  const kafka = options.kafka ?? createKafka({ ...config.kafka, clientId: 'ingestion-service', log });
  const registry = createSchemaRegistry({ url: config.registry.url });
  resources.use(
    followDefinitionTopic({
      kafka,
      registry,
      topic: inNamespace(topics.definitions.name, config.kafka.namespace),
      onDefinition: ({ experiment: { experimentId, variants } }) =>
        definitions.add(
          experimentId,
          variants.map(({ variantId }) => variantId),
        ),
      log,
    }),
  );
  const producer = resources.use(
    options.producer ??
      (await createEventProducer({
        kafka,
        registry,
        namespace: config.kafka.namespace,
        eventTime: config.eventTime,
        limits: {
          maxQueuedRecords: config.limits.maxQueuedRecords,
          maxQueuedBytes: config.limits.maxQueuedBytes,
          deliveryTimeoutMs: config.deliveryTimeoutMs,
        },
        log,
        metrics,
      })),
  );
  const { maxBodyBytes, maxEvents, maxInFlightRequests, maxInFlightBytes, callerSharePercent } = config.limits;
  const admission = createAdmission({
    maxBodyBytes,
    maxInFlightRequests,
    maxInFlightBytes,
    callerShareRatio: callerSharePercent / 100,
  });
  const inFlightRequests = metrics.gauge('ingest_in_flight_requests', 'Requests held now');
  const inFlightBytes = metrics.gauge('ingest_in_flight_bytes', 'Bytes of request bodies held now');
  const queuedRecords = metrics.gauge('ingest_queued_records', 'Events that wait for Kafka');
  const queuedBytes = metrics.gauge('ingest_queued_bytes', 'Bytes of events that wait for Kafka');
  const fresh = metrics.gauge('definitions_fresh', '1 while definitions follow Postgres, 0 while it is away');
  const app = await buildApp({
    keys,
    admission,
    acceptEvents: createAcceptEvents({ definitions, producer, tracing, now: Date.now }),
    limits: { maxBodyBytes, maxEvents },
    rateLimiter: createRateLimiter(
      { redisUrl: config.redisUrl, scope: 'ingestion-service', config: config.rateLimit, log },
      resources,
    ),
    corsOrigins: config.cors.origins,
    // Not while Kafka is away: without requests nothing would notice that it is back.
    readiness: () => ({
      ready: true,
      detail: {
        postgres: definitions.isFresh() ? 'reachable' : 'away',
        kafka: producer.isFailing() ? 'away' : 'reachable',
      },
    }),
    measure: () => {
      const held = admission.inFlight();
      inFlightRequests.set(held.requests);
      inFlightBytes.set(held.bytes);
      const depth = producer.depth();
      queuedRecords.set(depth.records);
      queuedBytes.set(depth.bytes);
      fresh.set(definitions.isFresh() ? 1 : 0);
    },
    metrics,
    tracing,
    log,
  });
  resources.defer(() => app.close());
  return app;
}
