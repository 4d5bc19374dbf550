// Settings of the operators' commands that look at Kafka, registry and Postgres, and of those that need the archive too.
import {
  kafkaSettings,
  mlflowSettings,
  objectStoreSettings,
  postgresSettings,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, optionalSetting, type SettingsOf, text, url } from '#platform/config/settings.ts';

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

const redisUrl = optionalSetting(
  'REDIS_URL',
  url(['redis:', 'rediss:']),
  'Redis that holds the queues of jobs; they are not looked at when absent',
  { secret: true },
);

export const doctorConfig = defineConfig({ ...archiveConfig.shape, mlflow: mlflowSettings, redisUrl });

export type ClusterConfig = SettingsOf<(typeof clusterConfig)['shape']>;
export type ArchiveConfig = SettingsOf<(typeof archiveConfig)['shape']>;
