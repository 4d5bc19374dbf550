// Settings of `ops upkeep`.
import {
  kafkaSettings,
  objectStoreSettings,
  postgresSettings,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, setting } from '#platform/config/settings.ts';
import { erasureKey } from '../cluster/cluster-config.ts';

export const upkeepConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  objectStore: objectStoreSettings,
  erasureKey,
  telemetry: telemetrySettings,
  upkeep: {
    daysAhead: setting('EVENT_DAYS_AHEAD', integer({ min: 1, max: 365 }), 'Days whose tables are made ahead', {
      default: 14,
    }),
    retentionDays: optionalSetting(
      'EVENT_RETENTION_DAYS',
      integer({ min: 15, max: 36_500 }),
      'An event day is dropped when its newest event was ingested longer ago; kept for ever when absent',
    ),
  },
});
