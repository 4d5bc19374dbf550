// Settings of the commands that write definitions: Postgres with the operator's role, and MLflow where policies are written.
import { postgresSettings } from '#platform/config/common-settings.ts';
import { defineConfig, optionalSetting, type SettingsOf, url } from '#platform/config/settings.ts';

export const definitionsConfig = defineConfig({
  postgres: postgresSettings,
  mlflowUrl: optionalSetting(
    'MLFLOW_URL',
    url(['http:', 'https:']),
    'MLflow server that model versions of policies are checked against; needed only to write policies',
  ),
});

export type DefinitionsConfig = SettingsOf<(typeof definitionsConfig)['shape']>;
