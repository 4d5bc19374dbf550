// Composition root of a rebuild of the dataset-builder group: its sink over the archive in the place of Kafka.
import { runRebuild } from '#consumers/rebuild/rebuild-main.ts';
import { datasetBuilderConfig } from './config.ts';
import { createGroupSink } from './group-sink.ts';

await runRebuild({
  groupId: 'dataset-builder',
  config: datasetBuilderConfig,
  createSink: createGroupSink,
  environment: process.env,
});
