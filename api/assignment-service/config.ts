// Settings of the assignment service.
import {
  erasureSettings,
  httpSettings,
  kafkaSettings,
  postgresSettings,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, type Parser, setting, url } from '#platform/config/settings.ts';

const origins: Parser<readonly string[]> = {
  expected: 'a comma-separated list of origins such as https://shop.example',
  parse: (value) => {
    const entries = value.split(',').map((entry) => entry.trim());
    return entries.every((entry) => URL.canParse(entry) && new URL(entry).origin === entry) ? entries : undefined;
  },
};

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
  cors: {
    origins: setting('CORS_ORIGINS', origins, 'Origins whose web pages may call the service; none when absent', {
      default: [],
    }),
  },
  rateLimit: {
    requestsPerSecond: setting(
      'RATE_LIMIT_PER_SECOND',
      integer({ min: 1, max: 1_000_000 }),
      'Requests per second that one API key may make of one instance, over time',
      { default: 10_000 },
    ),
    burst: setting(
      'RATE_LIMIT_BURST',
      integer({ min: 1, max: 1_000_000 }),
      'Requests that one API key may make of one instance at once, after a pause',
      { default: 20_000 },
    ),
  },
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
  telemetry: telemetrySettings,
});
