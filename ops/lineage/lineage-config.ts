// Settings of `ops lineage`.
import { mlflowSettings, objectStoreSettings, postgresSettings } from '#platform/config/common-settings.ts';
import { defineConfig } from '#platform/config/settings.ts';
import { erasureKey } from '../cluster/cluster-config.ts';

export const lineageConfig = defineConfig({
  postgres: postgresSettings,
  objectStore: objectStoreSettings,
  mlflow: mlflowSettings,
  erasureKey,
});
