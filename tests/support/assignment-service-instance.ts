// For tests: instances of the whole service on a test database and test topics, and keys to call them with.

import type { FastifyInstance } from 'fastify';
import { type AssignmentServiceSettings, startService } from '#api/assignment-service/start-service.ts';
import { type ApiKeyScope, apiKeyScopes, hashApiKey } from '#api/authentication.ts';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import { plaintext } from '#platform/kafka/kafka-client.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import type { TestDatabase } from '#tests/support/database.ts';

type Answer = { status: number; body: unknown; headers: Record<string, unknown> };

export type ServiceInstance = {
  readonly app: FastifyInstance;
  /** A request with the key that has every scope, unless another one is given. */
  call(method: 'GET' | 'POST', url: string, body?: unknown, options?: { key?: string | null }): Promise<Answer>;
  stop(): Promise<void>;
};

export const testErasureKey = 'test-only-key-of-the-erased-units-hashes';
export const testKey = 'test-key-with-every-scope';

/** Stores a key with these scopes, or with all. Instances that run already see it within a second. */
export async function addApiKey(
  database: TestDatabase,
  secret: string,
  scopes: readonly ApiKeyScope[] = apiKeyScopes,
): Promise<void> {
  await database.pool.query('INSERT INTO exp.api_keys (name, key_hash, scopes) VALUES ($1, $2, $3)', [
    `name of ${secret}`,
    hashApiKey(secret),
    scopes,
  ]);
}

export async function startInstance(options: {
  database: TestDatabase;
  kafka: { brokers: readonly string[]; namespace: string };
  registryUrl: string;
  name?: string;
  /** Used instead of a client for the brokers. */
  client?: Kafka;
  /** Settings that a test is about. */
  settings?: Partial<Pick<AssignmentServiceSettings, 'cors' | 'rateLimit' | 'redisUrl' | 'erasure' | 'mlflowUrl'>>;
}): Promise<ServiceInstance> {
  const config: AssignmentServiceSettings = {
    kafka: {
      ...plaintext(options.kafka.brokers),
      namespace: options.kafka.namespace,
    },
    registry: { url: options.registryUrl },
    postgres: { url: options.database.urlAs('assignment_service'), poolSize: 6 },
    http: { host: '127.0.0.1', port: 0 },
    mlflowUrl: undefined,
    assignments: { cacheEntries: 10_000, maxBatchItems: 500, concurrentBatches: 2 },
    erasure: { key: testErasureKey },
    cors: { origins: [] },
    rateLimit: { requestsPerSecond: 100_000, burst: 100_000 },
    redisUrl: undefined,
    telemetry: { logLevel: 'error', traces: { endpoint: undefined, oneIn: 1 } },
    ...options.settings,
  };
  const resources = new AsyncDisposableStack();
  try {
    const app = await startService({
      config,
      log: createSilentLogger(),
      metrics: createMetrics({ service: 'assignment-service' }),
      resources,
      instance: options.name ?? 'test',
      relay: { takeOverMs: 50, idleMs: 20 },
      ...(options.client === undefined ? {} : { kafka: options.client }),
    });
    return {
      app,
      call: async (method, url, body, { key = testKey } = {}) => {
        const response = await app.inject({
          method,
          url,
          headers: {
            ...(key === null ? {} : { authorization: `Bearer ${key}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
        });
        const isJson = String(response.headers['content-type']).includes('json');
        return {
          status: response.statusCode,
          body: isJson ? response.json() : response.body,
          headers: response.headers,
        };
      },
      stop: () => resources.disposeAsync(),
    };
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}

/** A running experiment over users with two equal variants, of which each test overrides what it is about. */
export function definitionOf(overrides: Partial<DefinitionBody> = {}): DefinitionBody {
  return {
    key: 'checkout-button',
    unit_type: 'user',
    status: 'running',
    variants: [
      { name: 'control', allocation: 0.5, is_control: true, config: { params: { color: 'blue' } } },
      { name: 'treatment', allocation: 0.5, config: { params: { color: 'green' } } },
    ],
    ...overrides,
  };
}
