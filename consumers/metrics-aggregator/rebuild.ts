// Composition root of a rebuild of the metrics-aggregator group: its sink over the archive in the place of Kafka.
import { runRebuild } from '#consumers/rebuild/rebuild-main.ts';
import { metricsAggregatorConfig } from './config.ts';
import { createGroupSink } from './group-sink.ts';

await runRebuild({
  groupId: 'metrics-aggregator',
  config: metricsAggregatorConfig,
  createSink: createGroupSink,
  environment: process.env,
});
