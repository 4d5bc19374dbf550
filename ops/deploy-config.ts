// Settings of `ops deploy`: an administrator's connection, unlike those of the processes.
import {
  kafkaSettings,
  postgresSettings,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, setting, text } from '#platform/config/settings.ts';

export const deployConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  replicationFactor: setting('KAFKA_REPLICATION_FACTOR', integer({ min: 1, max: 9 }), 'Copies of each partition'),
  rolePassword: optionalSetting('POSTGRES_ROLE_PASSWORD', text, 'When given, the process roles log in with it', {
    secret: true,
  }),
  telemetry: telemetrySettings,
});
