// For tests: instances of the whole ingestion service on a test database and test topics, listening on a port of their own.
import { ingestionServiceConfig } from '#api/ingestion-service/config.ts';
import { type IngestionServiceSettings, startService } from '#api/ingestion-service/start-service.ts';
import { parseSettings } from '#platform/config/settings.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import type { TestDatabase } from '#tests/support/database.ts';
import type { TestTopics } from '#tests/support/kafka.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

type Answer = { status: number; body: unknown; headers: Headers };

export type IngestionInstance = {
  readonly url: string;
  /** Text and bytes are sent as they are, anything else as JSON. */
  post(body: unknown, headers?: Record<string, string>): Promise<Answer>;
  stop(): Promise<void>;
};

function settingsOf(database: TestDatabase, topics: TestTopics): IngestionServiceSettings {
  const { kafka, schemaRegistry } = stackEndpoints();
  const parsed = parseSettings(ingestionServiceConfig, {
    KAFKA_BROKERS: kafka.brokers.join(','),
    KAFKA_NAMESPACE: topics.namespace,
    SCHEMA_REGISTRY_URL: schemaRegistry.url,
    POSTGRES_URL: database.urlAs('ingestion_service'),
    POSTGRES_POOL_SIZE: '4',
    HTTP_PORT: '0',
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.settings;
}

/** `key` is the API key of every request that names no other. */
export async function startIngestion(options: {
  database: TestDatabase;
  topics: TestTopics;
  key: string;
  deliveryTimeoutMs?: number;
  client?: Kafka;
  /** Settings that a test is about. */
  settings?: Partial<Pick<IngestionServiceSettings, 'cors' | 'rateLimit' | 'redisUrl'>>;
}): Promise<IngestionInstance> {
  const { database, topics, key, deliveryTimeoutMs, client, settings = {} } = options;
  const resources = new AsyncDisposableStack();
  try {
    const app = await startService({
      config: {
        ...settingsOf(database, topics),
        ...settings,
        ...(deliveryTimeoutMs === undefined ? {} : { deliveryTimeoutMs }),
      },
      log: createSilentLogger(),
      metrics: createMetrics({ service: 'ingestion-service' }),
      resources,
      ...(client === undefined ? {} : { kafka: client }),
    });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    return {
      url,
      post: async (body, headers = {}) => {
        const answer = await fetch(`${url}/v1/events`, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
          body: typeof body === 'string' ? body : Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body),
        });
        return { status: answer.status, body: await answer.json(), headers: answer.headers };
      },
      stop: () => resources.disposeAsync(),
    };
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}
