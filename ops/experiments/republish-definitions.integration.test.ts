// A topic of definitions that was lost is filled again from Postgres, and what followers read from it is what Postgres holds.
import { expect, test } from 'vitest';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { createDefinitionOutbox } from '#producers/assignment-publisher/definition-outbox.ts';
import { startOutboxRelay } from '#producers/assignment-publisher/outbox-relay.ts';
import { createRelayMetrics } from '#producers/assignment-publisher/relay-metrics.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { listDefinitions, type StoredDefinition } from '#producers/definition-store/definition-rows.ts';
import { followDefinitionTopic } from '#producers/definition-store/definition-topic.ts';
import { definitionOf } from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase } from '#tests/support/database.ts';
import { createTestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { republishDefinitions } from './republish-definitions.ts';

test('every definition of Postgres is on the empty topic afterwards, as it is stored', async () => {
  await using resources = new AsyncDisposableStack();
  const database = await createTestDatabase();
  resources.defer(() => database.drop());
  const topics = await createTestTopics(['definitions']);
  resources.defer(() => topics.drop());
  const definitions = [
    definitionOf({ key: 'plain' }),
    definitionOf({
      key: 'with everything',
      coverage: 0.25,
      targeting: { country: 'DE' },
      layer: { id: 'l', start: 0, end: 0.5 },
    }),
    definitionOf({ key: 'forced', forced_variants: { 'tester-é': 'treatment' }, holdout: { id: 'h', share: 0.05 } }),
    definitionOf({ key: 'draft', status: 'draft', starts_at: '2030-01-01T00:00:00Z' }),
  ];
  for (const body of definitions) {
    const result = await applyDefinition(database.pool, body, { actor: 'test', reason: 'test' });
    expect(result.status, JSON.stringify(result)).toBe('created');
  }
  await database.pool.query('UPDATE exp.definition_outbox SET published_at = now()');
  expect(await republishDefinitions(database.poolAs('operator'))).toBe(definitions.length);

  const log = createSilentLogger();
  resources.use(
    startOutboxRelay({
      outbox: createDefinitionOutbox({
        topic: topics.name('definitions'),
        encoder: () => topics.encoder('definitions'),
      }),
      pool: database.poolAs('assignment_service'),
      producer: topics.producer(),
      log,
      metrics: createRelayMetrics(createMetrics({ service: 'test' })),
      owner: 'test',
      config: { idleMs: 20, takeOverMs: 20 },
    }),
  );
  const read = new Map<string, StoredDefinition>();
  resources.use(
    followDefinitionTopic({
      kafka: topics.kafka,
      registry: topics.registry,
      topic: topics.name('definitions'),
      onDefinition: (definition) => read.set(definition.experiment.experimentKey, definition),
      log,
    }),
  );
  await until('all are read from the topic', () => read.size === definitions.length);
  const stored = await listDefinitions(database.pool);
  expect([...read.values()].sort((a, b) => (a.experiment.experimentKey < b.experiment.experimentKey ? -1 : 1))).toEqual(
    stored.toSorted((a, b) => (a.experiment.experimentKey < b.experiment.experimentKey ? -1 : 1)),
  );
});
