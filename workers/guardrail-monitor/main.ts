// Composition root of the guardrail monitor: the loop, the relay that announces its actions, the webhook, health and metrics.
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '#platform/errors.ts';
import { createKafka } from '#platform/kafka/kafka-client.ts';
import { createRecordProducer } from '#platform/kafka/record-producer.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { createTopicInspector } from '#platform/kafka/topic-inspector.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { startOperationsServer } from '#platform/process/operations-server.ts';
import { runMain } from '#platform/process/run-main.ts';
import { startOutboxRelay } from '#producers/assignment-publisher/outbox-relay.ts';
import { createLazyEncoder } from '#producers/assignment-publisher/record-encoder.ts';
import { createRelayMetrics } from '#producers/assignment-publisher/relay-metrics.ts';
import type { GuardrailActionRecord } from '#schemas/generated/records.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { guardrailMonitorConfig } from './config.ts';
import { createGuardrailOutbox } from './guardrail-outbox.ts';
import { createInputLag } from './input-lag.ts';
import { startGuardrailMonitor } from './monitor.ts';
import { recordAll } from './record-results.ts';
import { deliverWebhooks } from './webhook.ts';

const service = 'guardrail-monitor';

await runMain({
  service,
  config: guardrailMonitorConfig,
  start: async ({ config, log, metrics, resources }) => {
    const owner = `${hostname()}/${process.pid}`;
    const pool = createPostgresPool({
      ...config.postgres,
      applicationName: service,
      onIdleError: (error) => log.warn({ err: error }, 'idle Postgres connection lost'),
    });
    resources.defer(() => pool.end());
    await pool.query('SELECT 1');
    const kafka = createKafka({ ...config.kafka, clientId: service, log });
    const topicOf = (name: string): string => inNamespace(name, config.kafka.namespace);
    const eventsTopic = topicOf(topics.events.name);
    const inspector = createTopicInspector({
      kafka,
      connection: config.kafka,
      topic: eventsTopic,
      clientId: service,
    });
    const producer = createRecordProducer({ kafka });
    resources.defer(() => producer.disconnect());
    const actionsTopic = topicOf(topics.guardrailActions.name);
    resources.use(
      startOutboxRelay({
        pool,
        log,
        producer,
        owner,
        metrics: createRelayMetrics(metrics),
        outbox: createGuardrailOutbox({
          topic: actionsTopic,
          encoder: createLazyEncoder<GuardrailActionRecord>({
            registry: createSchemaRegistry({ url: config.registry.url }),
            topic: actionsTopic,
            schemaName: topics.guardrailActions.valueSchema,
          }),
        }),
        config: { idleMs: 500 },
      }),
    );
    const monitor = resources.use(
      startGuardrailMonitor({
        pool,
        log,
        metrics,
        owner,
        intervalMs: config.look.intervalMs,
        inputLag: createInputLag({ maxLagMs: config.look.maxLagSeconds * 1_000, nowMs: Date.now }),
        readEnds: async () =>
          new Map([...(await inspector.offsets())].map(([partition, { highWatermark }]) => [partition, highWatermark])),
        group: { groupId: inNamespace('metrics-aggregator', config.kafka.namespace), topic: eventsTopic },
        nowMs: Date.now,
      }),
    );
    /** Repeats the work until the end; a failure waits for the next time. */
    const repeat = (pauseMs: number, work: () => Promise<unknown>): void => {
      const stop = new AbortController();
      const loop = async (): Promise<void> => {
        while (!stop.signal.aborted) {
          await work().catch((error: unknown) =>
            log.warn({ cause: describeError(error) }, 'a background task waits for its next turn'),
          );
          await sleep(pauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
        }
      };
      const running = loop();
      resources.defer(() => {
        stop.abort();
        return running;
      });
    };
    const { url } = config.webhook;
    if (url !== undefined) repeat(2_000, () => deliverWebhooks({ pool, url, log, fetch: globalThis.fetch }));
    const recorded = new Map<string, number>();
    let dueMs = 0;
    repeat(2_000, async () => {
      if (monitor.state().role !== 'leading' || Date.now() < dueMs) return;
      dueMs = Date.now() + config.record.intervalMs;
      await recordAll(pool, recorded, (error) =>
        log.warn({ cause: describeError(error) }, 'results were not recorded'),
      );
    });
    resources.use(
      await startOperationsServer({
        ...config.operations,
        metrics,
        readiness: () => ({ ready: true, detail: { ...monitor.state() } }),
      }),
    );
  },
});
