// Composition root of the metrics-aggregator group: exp.events.v1 to windows, first exposures and per-unit sums in Postgres.
import { createEventParser } from '#domain/event/decode-event.ts';
import { startConsumer } from '#platform/kafka/consumer-process.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { runMain } from '#platform/process/run-main.ts';
import { topics } from '#schemas/topics.ts';
import { metricsAggregatorConfig } from './config.ts';
import { createGroupSink } from './group-sink.ts';
import { measuredOnly } from './transform.ts';

const groupId = 'metrics-aggregator';

await runMain({
  service: groupId,
  config: metricsAggregatorConfig,
  start: async (context) => {
    const { config, log, resources } = context;
    const pool = createPostgresPool({
      ...config.postgres,
      applicationName: groupId,
      onIdleError: (error) => log.warn({ err: error }, 'idle Postgres connection lost'),
    });
    resources.defer(() => pool.end());
    await startConsumer({
      context,
      groupId,
      topic: topics.events,
      deadLetterTopic: topics.eventsDeadLetter,
      pool,
      parse: measuredOnly(createEventParser(config.eventTime)),
      sink: createGroupSink(config, pool),
    });
  },
});
