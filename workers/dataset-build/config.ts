// Settings of one dataset build.
import { plannerModelName } from '#domain/dataset/planner-dataset.ts';
import {
  codeCommitSetting,
  mlflowSettings,
  objectStoreSettings,
  postgresSettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, instant, oneOf, optionalSetting, type Parser, setting } from '#platform/config/settings.ts';

const calendarDate: Parser<string> = {
  expected: 'a calendar day such as 2026-01-05',
  parse: (value) => {
    const time = /^\d{4}-\d{2}-\d{2}$/.test(value) ? Date.parse(`${value}T00:00:00Z`) : Number.NaN;
    return !Number.isNaN(time) && new Date(time).toISOString().startsWith(value) ? value : undefined;
  },
};

export const datasetBuildConfig = defineConfig(
  {
    postgres: postgresSettings,
    objectStore: objectStoreSettings,
    mlflow: mlflowSettings,
    build: {
      modelName: setting('DATASET_MODEL', oneOf([plannerModelName]), 'Model whose dataset is built', {
        default: plannerModelName,
      }),
      date: optionalSetting(
        'DATASET_BUILD_DATE',
        calendarDate,
        'Build date in the object key; today in UTC when absent',
      ),
      labelCutoffMs: optionalSetting(
        'DATASET_LABEL_CUTOFF',
        instant,
        'Plans and reactions from this time on are left out; now when absent',
      ),
      fromMs: optionalSetting('DATASET_FROM', instant, 'Only plans generated from this time on; all when absent'),
      toMs: optionalSetting('DATASET_TO', instant, 'Only plans generated before this time; all when absent'),
      codeCommit: codeCommitSetting,
    },
  },
  [
    ({ build: { fromMs, toMs } }) =>
      fromMs !== undefined && toMs !== undefined && fromMs >= toMs ? 'DATASET_FROM before DATASET_TO' : undefined,
  ],
);
