// Settings of the operators' commands that look at Kafka, registry and Postgres, and of those that need the archive too.
import {
  kafkaSettings,
  mlflowSettings,
  objectStoreSettings,
  postgresSettings,
  queueRedisToInspectSetting,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, optionalSetting, type SettingsOf, text } from '#platform/config/settings.ts';

export const erasureKey = optionalSetting(
  'ERASURE_KEY',
  text,
  'Key of the hashes in exp.erasures; needed once a unit has been erased',
  { secret: true },
);

export const clusterConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  erasureKey,
  telemetry: telemetrySettings,
});

export const archiveConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  objectStore: objectStoreSettings,
  erasureKey,
  telemetry: telemetrySettings,
});

export const doctorConfig = defineConfig({
  ...archiveConfig.shape,
  mlflow: mlflowSettings,
  redisUrl: queueRedisToInspectSetting,
});

export type ClusterConfig = SettingsOf<(typeof clusterConfig)['shape']>;
export type ArchiveConfig = SettingsOf<(typeof archiveConfig)['shape']>;
