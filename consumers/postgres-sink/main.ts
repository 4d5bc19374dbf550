// Composition root of the postgres-sink group: exp.events.v1 to exp.events.
import { createEventParser } from '#domain/event/decode-event.ts';
import { startConsumer } from '#platform/kafka/consumer-process.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { runMain } from '#platform/process/run-main.ts';
import { topics } from '#schemas/topics.ts';
import { postgresSinkConfig } from './config.ts';
import { createGroupSink } from './group-sink.ts';

const groupId = 'postgres-sink';

await runMain({
  service: groupId,
  config: postgresSinkConfig,
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
      parse: createEventParser(config.eventTime),
      sink: createGroupSink(config, pool),
    });
  },
});
