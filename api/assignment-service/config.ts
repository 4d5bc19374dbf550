// Settings of the assignment service.
import {
  httpSettings,
  kafkaSettings,
  postgresSettings,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, setting } from '#platform/config/settings.ts';

export const assignmentServiceConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  http: httpSettings,
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
