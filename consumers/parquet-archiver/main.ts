// Composition root of the parquet-archiver group: exp.events.v1 to Parquet objects and their manifest.
import { createErasedUnitLookup, withErasure } from '#consumers/erasure.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { startConsumer } from '#platform/kafka/consumer-process.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { runMain } from '#platform/process/run-main.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { parquetArchiverConfig } from './config.ts';
import { createManifest } from './manifest.ts';
import { createParquetWriter } from './parquet-writer.ts';
import { createArchiverSink } from './sink.ts';

const groupId = 'parquet-archiver';

await runMain({
  service: groupId,
  config: parquetArchiverConfig,
  start: async (context) => {
    const { config, log, resources } = context;
    const pool = createPostgresPool({
      ...config.postgres,
      applicationName: groupId,
      onIdleError: (error) => log.warn({ err: error }, 'idle Postgres connection lost'),
    });
    resources.defer(() => pool.end());
    const objectStore = createObjectStore(config.objectStore);
    resources.defer(() => objectStore.close());
    const writer = await createParquetWriter();
    resources.defer(() => writer.close());
    const topic = inNamespace(topics.events.name, config.kafka.namespace);
    await startConsumer({
      context,
      groupId,
      topic: topics.events,
      deadLetterTopic: topics.eventsDeadLetter,
      pool,
      parse: createEventParser(config.eventTime),
      sink: withErasure(
        createArchiverSink({ manifest: createManifest({ pool, topic, groupId }), objectStore, writer }),
        {
          pool,
          erasedUnits: createErasedUnitLookup(config.erasure.key),
          mode: 'pseudonymize',
          preparesContent: true,
        },
      ),
    });
  },
});
