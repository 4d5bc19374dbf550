// Settings of the assignment service.
import {
  corsSettings,
  erasureSettings,
  httpSettings,
  kafkaSettings,
  postgresSettings,
  rateLimitSettings,
  redisUrlSetting,
  registrySettings,
  tracedTelemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, setting, url } from '#platform/config/settings.ts';

export const assignmentServiceConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  http: httpSettings,
  mlflowUrl: optionalSetting(
    'MLFLOW_URL',
    url(['http:', 'https:']),
    'MLflow server, asked when experiments with policy versions are defined or started; without it those are refused',
  ),
  erasure: erasureSettings,
  cors: corsSettings,
  rateLimit: rateLimitSettings,
  redisUrl: redisUrlSetting,
  assignments: {
    cacheEntries: setting(
      'ASSIGNMENT_CACHE_ENTRIES',
      integer({ min: 0, max: 10_000_000 }),
      'Stored assignments kept in memory for warm reads (about 400 bytes each)',
      { default: 200_000 },
    ),
    maxBatchItems: setting(
      'ASSIGNMENT_BATCH_ITEMS',
      integer({ min: 1, max: 5_000 }),
      'Most new assignments that share one transaction',
      { default: 500 },
    ),
    concurrentBatches: setting(
      'ASSIGNMENT_CONCURRENT_BATCHES',
      integer({ min: 1, max: 16 }),
      'Transactions of new assignments under way at once',
      { default: 2 },
    ),
  },
  telemetry: tracedTelemetrySettings,
});
