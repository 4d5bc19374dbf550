// Puts the parts of one service instance together, in the order in which they start; the caller releases them in reverse.
import type { FastifyInstance } from 'fastify';
import { readLookEvidence } from '#analytics/promotion/look-evidence.ts';
import { createApiKeyStore } from '#api/authentication.ts';
import { createRateLimiter } from '#api/shared-rate-limit.ts';
import { erasureKeyFingerprint } from '#domain/erasure/pseudonymize-event.ts';
import type { SettingsOf } from '#platform/config/settings.ts';
import { createKafka, type Kafka } from '#platform/kafka/kafka-client.ts';
import { createRecordProducer } from '#platform/kafka/record-producer.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createModelStages } from '#platform/mlflow/model-stages.ts';
import { requireErasureKey } from '#platform/postgres/erasures.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { createTypedPool } from '#platform/postgres/typed-pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import { type Tracing, tracingOff } from '#platform/telemetry/tracing.ts';
import { type AssignmentEncoder, createAssignmentOutbox } from '#producers/assignment-publisher/assignment-outbox.ts';
import { createDefinitionOutbox, type DefinitionEncoder } from '#producers/assignment-publisher/definition-outbox.ts';
import { type OutboxRelayConfig, startOutboxRelay } from '#producers/assignment-publisher/outbox-relay.ts';
import { createLazyEncoder } from '#producers/assignment-publisher/record-encoder.ts';
import { createRelayMetrics } from '#producers/assignment-publisher/relay-metrics.ts';
import { followDefinitionTopic } from '#producers/definition-store/definition-topic.ts';
import { createLiveDefinitions } from '#producers/definition-store/live-definitions.ts';
import { createModelCheck } from '#producers/definition-store/model-check.ts';
import type { AssignmentRecord, DefinitionRecord } from '#schemas/generated/records.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { buildApp } from './app.ts';
import { createAssignUnit } from './assign-unit.ts';
import { createAssignmentCache } from './assignment-cache.ts';
import { createPostgresAssignmentStore } from './assignment-store.ts';
import type { assignmentServiceConfig } from './config.ts';
import { createDefinitionAccess } from './definition-access.ts';
import { createDefinitionFeed } from './definition-feed.ts';
import { createErasureListener } from './erasure-listener.ts';
import { createEraseUnit } from './erasure-unit.ts';
import { createLinkUnits } from './identity-link.ts';
import { createImportAssignments } from './import-assignments.ts';
import { createPromotionAccess } from './promotion-access.ts';
import { createResultsReader } from './results-reader.ts';
import { createFlagEvaluator } from './routes-ofrep-evaluate.ts';
import { createSharedAccess } from './shared-access.ts';
import { createUnitReader } from './unit-assignments.ts';

export type AssignmentServiceSettings = SettingsOf<(typeof assignmentServiceConfig)['shape']>;

/** Two relays and two listeners, each with a connection of its own for as long as it works, and one to spare. */
const backgroundConnections = 5;
/** Histories, explanations and links are read by people and at logins. */
const unitReadConnections = 2;
/** A read that began before an erasure may still put what it read into the cache: no read takes this long. */
const forgetAgainMs = 5_000;

/**
 * Starts everything but the listening. Everything acquired is put on `resources`.
 * @throws RetryableError or a Postgres error when definitions and keys cannot be loaded: an instance without them can answer nothing.
 */
export async function startService(options: {
  config: AssignmentServiceSettings;
  log: Logger;
  metrics: Metrics;
  tracing?: Tracing;
  resources: AsyncDisposableStack;
  /** Shown beside the outbox that this instance publishes. */
  instance: string;
  relay?: Partial<OutboxRelayConfig>;
  /** A client to use instead of one made from the settings, such as one whose network fails on purpose. */
  kafka?: Kafka;
}): Promise<FastifyInstance> {
  const { config, log, metrics, tracing = tracingOff, resources } = options;
  const openPool = (applicationName: string, poolSize: number) => {
    const pool = createPostgresPool({
      ...config.postgres,
      poolSize,
      applicationName,
      onIdleError: (error) => log.warn({ err: error }, 'idle Postgres connection lost'),
    });
    resources.defer(() => pool.end());
    return pool;
  };
  const pool = openPool('assignment-service', config.postgres.poolSize);
  const backgroundPool = openPool('assignment-service-background', backgroundConnections);
  const resultsPool = openPool('assignment-service-results', 1);

  const keys = resources.use(createApiKeyStore({ pool: backgroundPool, log }));
  await requireErasureKey(backgroundPool, erasureKeyFingerprint(config.erasure.key));
  await keys.start();
  const definitionFeed = createDefinitionFeed();
  const live = resources.use(createLiveDefinitions({ pool: backgroundPool, log, onChange: definitionFeed.publish }));
  await live.start();
  const definitionsFresh = metrics.gauge(
    'definitions_fresh',
    '1 while definitions follow Postgres, 0 while it is away',
  );

  const kafka = options.kafka ?? createKafka({ ...config.kafka, clientId: 'assignment-service', log });
  const openProducer = () => {
    const producer = createRecordProducer({ kafka });
    resources.defer(() => producer.disconnect());
    return producer;
  };
  const registry = createSchemaRegistry({ url: config.registry.url });
  const relayMetrics = createRelayMetrics(metrics);
  const topicOf = (name: string): string => inNamespace(name, config.kafka.namespace);
  const assignmentTopic = topicOf(topics.assignments.name);
  const definitionTopic = topicOf(topics.definitions.name);
  const assignmentEncoder: () => Promise<AssignmentEncoder> = createLazyEncoder<AssignmentRecord>({
    registry,
    topic: assignmentTopic,
    schemaName: topics.assignments.valueSchema,
  });
  resources.use(followDefinitionTopic({ kafka, registry, topic: definitionTopic, log, onDefinition: live.take }));
  const definitionEncoder: () => Promise<DefinitionEncoder> = createLazyEncoder<DefinitionRecord>({
    registry,
    topic: definitionTopic,
    schemaName: topics.definitions.valueSchema,
  });
  const relayDeps = {
    pool: backgroundPool,
    log,
    metrics: relayMetrics,
    owner: options.instance,
    config: options.relay ?? {},
  };
  const assignmentRelay = resources.use(
    startOutboxRelay({
      ...relayDeps,
      producer: openProducer(),
      outbox: createAssignmentOutbox({ topic: assignmentTopic, encoder: assignmentEncoder }),
    }),
  );
  const definitionRelay = resources.use(
    startOutboxRelay({
      ...relayDeps,
      producer: openProducer(),
      outbox: createDefinitionOutbox({ topic: definitionTopic, encoder: definitionEncoder }),
    }),
  );

  const store = createPostgresAssignmentStore(pool);
  const decisions = metrics.counter('assignment_decisions_total', 'Experiments answered, by reason and where from', [
    'reason',
    'from',
  ]);
  const cache = createAssignmentCache(config.assignments.cacheEntries);
  const forgetUnit = (unitId: string): void => {
    for (const experimentId of live.current().byId.keys()) cache.forget({ experimentId, unitId });
  };
  const erasures = resources.use(
    createErasureListener({
      pool: backgroundPool,
      onErased: (unitId) => {
        forgetUnit(unitId);
        setTimeout(() => forgetUnit(unitId), forgetAgainMs).unref();
      },
      onMissed: cache.clear,
    }),
  );
  await erasures.start();
  const typedPool = await createTypedPool({
    ...config.postgres,
    poolSize: unitReadConnections,
    applicationName: 'assignment-service-units',
  });
  resources.defer(() => typedPool.end());
  const units = createUnitReader(typedPool);
  const links = metrics.counter('identity_links_total', 'Assignments met when units logged in, by outcome', [
    'outcome',
  ]);
  const cacheEntries = metrics.gauge('assignment_cache_entries', 'Stored assignments in memory');
  const assignUnit = createAssignUnit({
    currentDefinitions: live.current,
    lookAgain: live.lookAgain,
    assignments: createSharedAccess({ store, metrics, ...config.assignments }),
    cache,
    nowMs: Date.now,
    onDecision: (reason, from) => decisions.inc({ reason, from }),
  });
  const mlflow = config.mlflowUrl === undefined ? null : createMlflowClient({ url: config.mlflowUrl });
  const models = mlflow === null ? null : createModelRegistry(mlflow);
  const stages = mlflow === null ? null : createModelStages(mlflow);
  const app = await buildApp({
    keys,
    rateLimiter: createRateLimiter(
      { redisUrl: config.redisUrl, scope: 'assignment-service', config: config.rateLimit, log },
      resources,
    ),
    corsOrigins: config.cors.origins,
    units: {
      units,
      linkUnits: createLinkUnits({
        pool,
        units,
        store,
        currentDefinitions: live.current,
        onLinked: (outcome) => links.inc({ outcome }),
      }),
      eraseUnit: createEraseUnit({ pool, units, currentDefinitions: live.current, key: config.erasure.key }),
      currentDefinitions: live.current,
      onStored: assignmentRelay.wake,
    },
    results: { readResults: createResultsReader({ pool: resultsPool }) },
    explain: { units, currentDefinitions: live.current, lookAgain: live.lookAgain, nowMs: Date.now },
    flags: createFlagEvaluator({ assignUnit, currentDefinitions: live.current, lookAgain: live.lookAgain }),
    metrics,
    tracing,
    measure: () => {
      definitionsFresh.set(live.state().isFresh ? 1 : 0);
      cacheEntries.set(cache.size());
    },
    log,
    readiness: () => {
      const { isFresh, ageSeconds } = live.state();
      return { ready: Number.isFinite(ageSeconds), detail: { postgres: isFresh ? 'reachable' : 'away' } };
    },
    assignments: {
      assignUnit,
      importAssignments: createImportAssignments({ currentDefinitions: live.current, store, nowMs: Date.now }),
      onStored: assignmentRelay.wake,
    },
    experiments: {
      definitions: createDefinitionAccess({
        pool,
        live,
        onChanged: definitionRelay.wake,
        checkModels: createModelCheck(models),
        stages,
      }),
    },
    promotions: createPromotionAccess({
      pool,
      models,
      stages,
      live,
      onChanged: definitionRelay.wake,
      readEvidence: (experimentId) => readLookEvidence(resultsPool, experimentId),
    }),
    definitionFeed,
  });
  resources.defer(() => app.close());
  return app;
}
