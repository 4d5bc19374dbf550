// Settings of the commands that look at datasets. `dataset build` runs the build job, which reads its own.
import { objectStoreSettings, postgresSettings } from '#platform/config/common-settings.ts';
import { defineConfig } from '#platform/config/settings.ts';

export const datasetConfig = defineConfig({ postgres: postgresSettings, objectStore: objectStoreSettings });
