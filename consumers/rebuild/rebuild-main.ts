// The life of a rebuild process: settings of its group and of the object store, one run, one JSON line, an exit code.
import { createEventParser } from '#domain/event/decode-event.ts';
import {
  type eventTimeSettings,
  type kafkaSettings,
  objectStoreSettings,
  type postgresSettings,
  type telemetrySettings,
} from '#platform/config/common-settings.ts';
import {
  type ConfigSchema,
  defineConfig,
  formatProblems,
  parseSettings,
  type SettingsOf,
  type SettingsShape,
} from '#platform/config/settings.ts';
import { describeError } from '#platform/errors.ts';
import { createKafka } from '#platform/kafka/kafka-client.ts';
import type { FlushPolicy, Sink } from '#platform/kafka/sink.ts';
import { createTopicInspector } from '#platform/kafka/topic-inspector.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import { createLogger } from '#platform/telemetry/logger.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { type ConsumerGroupName, inNamespace, topics } from '#schemas/topics.ts';
import { rebuildGroup } from './rebuild-group.ts';

type RebuildSettings = SettingsOf<{
  kafka: typeof kafkaSettings;
  postgres: typeof postgresSettings;
  eventTime: typeof eventTimeSettings;
  objectStore: typeof objectStoreSettings;
  telemetry: typeof telemetrySettings;
}> & { flush: FlushPolicy & { maxBufferedBytes: number; concurrency: number } };

/** Settings of a group that its rebuild does not need: it is no member, decodes nothing and listens nowhere. */
const unneeded = ['group', 'registry', 'operations'];

/** Runs one rebuild of the group and ends. The report is the last line of stdout. */
export async function runRebuild<S extends SettingsShape>(options: {
  groupId: ConsumerGroupName;
  config: ConfigSchema<S>;
  createSink: (config: SettingsOf<S>, pool: Pool) => Sink<EventRecord>;
  environment: Readonly<Record<string, string | undefined>>;
}): Promise<void> {
  const service = `${options.groupId} rebuild`;
  const shape = Object.fromEntries(Object.entries(options.config.shape).filter(([name]) => !unneeded.includes(name)));
  const parsed = parseSettings(defineConfig({ ...shape, objectStore: objectStoreSettings }), options.environment);
  if (!parsed.ok) {
    process.stderr.write(`${service}: ${formatProblems(parsed.problems)}\n`);
    process.exitCode = 2;
    return;
  }
  const config = parsed.settings as unknown as RebuildSettings;
  await using resources = new AsyncDisposableStack();
  const pool = createPostgresPool({ ...config.postgres, applicationName: `${options.groupId}-rebuild` });
  resources.defer(() => pool.end());
  const objectStore = createObjectStore(config.objectStore);
  resources.defer(() => objectStore.close());
  const log = createLogger({ service, level: 'warn' });
  const topic = inNamespace(topics.events.name, config.kafka.namespace);
  const kafka = createKafka({ ...config.kafka, clientId: options.groupId, log });
  const inspector = createTopicInspector({ kafka, connection: config.kafka, topic, clientId: options.groupId });
  try {
    const report = await rebuildGroup({
      pool,
      objectStore,
      groupId: inNamespace(options.groupId, config.kafka.namespace),
      topic,
      identity: await inspector.identity(),
      parse: createEventParser(config.eventTime),
      sink: options.createSink(parsed.settings as unknown as SettingsOf<S>, pool),
      flush: config.flush,
      log,
      onProgress: (text) => void process.stderr.write(`rebuild: ${text}\n`),
    });
    process.stdout.write(
      `${JSON.stringify(report, (_, value) => (typeof value === 'bigint' ? value.toString() : value))}\n`,
    );
  } catch (error) {
    process.stderr.write(`${service}: ${describeError(error)}\n`);
    process.exitCode = 1;
  }
}
