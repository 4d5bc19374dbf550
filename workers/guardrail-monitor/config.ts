// Settings of the guardrail monitor.
import {
  kafkaSettings,
  operationsSettings,
  postgresSettings,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, setting, url } from '#platform/config/settings.ts';

export const guardrailMonitorConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  look: {
    intervalMs: setting(
      'LOOK_INTERVAL_MS',
      integer({ min: 100, max: 60_000 }),
      'Pause between two looks at an experiment, in ms; longer after a look that took long',
      { default: 1_000 },
    ),
    maxLagSeconds: setting(
      'MAX_LAG_SECONDS',
      integer({ min: 1, max: 3_600 }),
      'The monitor rests while metrics-aggregator is further behind than this',
      { default: 30 },
    ),
  },
  record: {
    intervalMs: setting(
      'RECORD_INTERVAL_MS',
      integer({ min: 1_000, max: 86_400_000 }),
      'Pause between two recordings of the results of all experiments, in ms',
      { default: 900_000 },
    ),
  },
  webhook: {
    url: optionalSetting(
      'GUARDRAIL_WEBHOOK_URL',
      url(['http:', 'https:']),
      'Receives a POST with one JSON object for every action, repeated until it is answered with 2xx; none when absent',
      { secret: true },
    ),
  },
  operations: operationsSettings,
  telemetry: telemetrySettings,
});
