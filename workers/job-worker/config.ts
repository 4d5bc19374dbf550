// Settings of the job worker. It starts the programs of jobs with its own environment, so theirs are checked here too.
import { jobKindNames } from '#domain/jobs/job-kinds.ts';
import {
  erasureSettings,
  kafkaSettings,
  mlflowSettings,
  objectStoreSettings,
  operationsSettings,
  postgresSettings,
  queueRedisSetting,
  registrySettings,
  telemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, type Parser, setting, text } from '#platform/config/settings.ts';

const kindList: Parser<readonly string[]> = {
  expected: `a comma-separated list of ${jobKindNames.join(', ')}`,
  parse: (value) => {
    const names = value.split(',').map((name) => name.trim());
    return names.every((name) => jobKindNames.includes(name)) ? [...new Set(names)] : undefined;
  },
};

export const jobWorkerConfig = defineConfig({
  redisUrl: queueRedisSetting,
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  objectStore: objectStoreSettings,
  mlflow: mlflowSettings,
  erasure: erasureSettings,
  operations: operationsSettings,
  telemetry: telemetrySettings,
  jobs: {
    kinds: setting(
      'JOB_KINDS',
      kindList,
      'Kinds of jobs that this worker takes; training and offline-replay need a checkout with Python',
      {
        default: ['dataset-build', 'compaction', 'reconcile', 'upkeep', 'promotion-check'],
      },
    ),
    lockMs: setting(
      'JOB_LOCK_MS',
      integer({ min: 3_000, max: 600_000 }),
      'Silence of a worker after which another one takes its job, in ms',
      { default: 30_000 },
    ),
    backoffMs: setting(
      'JOB_BACKOFF_MS',
      integer({ min: 10, max: 3_600_000 }),
      'Wait after the first failed attempt, in ms; it doubles with each further one',
      { default: 10_000 },
    ),
    drainMs: setting(
      'JOB_DRAIN_MS',
      integer({ min: 0, max: 12_000 }),
      'How long jobs may go on after the worker was told to stop, in ms; then they are stopped and go back to the queue',
      { default: 10_000 },
    ),
    folder: setting('JOB_FOLDER', text, 'Where programs of jobs keep unfinished work, such as checkpoints', {
      default: '/tmp/trialstream-jobs',
    }),
  },
});
