// Composition root of a rebuild of the postgres-sink group: its sink over the archive in the place of Kafka.
import { runRebuild } from '#consumers/rebuild/rebuild-main.ts';
import { postgresSinkConfig } from './config.ts';
import { createGroupSink } from './group-sink.ts';

await runRebuild({
  groupId: 'postgres-sink',
  config: postgresSinkConfig,
  createSink: createGroupSink,
  environment: process.env,
});
