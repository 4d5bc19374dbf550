// Composition root of the job worker: the queues in Redis, the programs of jobs, health and metrics.
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { jobKinds } from '#domain/jobs/job-kinds.ts';
import { FatalError } from '#platform/errors.ts';
import { queuePrefix } from '#platform/jobs/job-queues.ts';
import { startOperationsServer } from '#platform/process/operations-server.ts';
import { runMain } from '#platform/process/run-main.ts';
import { connectRedis, createPatientRedis } from '#platform/redis/redis-client.ts';
import { jobWorkerConfig } from './config.ts';
import { startJobWorker } from './job-worker.ts';

const service = 'job-worker';
const root = join(import.meta.dirname, '..', '..');

await runMain({
  service,
  config: jobWorkerConfig,
  start: async ({ config, log, metrics, resources }) => {
    const kinds = jobKinds.filter(({ name }) => config.jobs.kinds.includes(name));
    for (const { name, program } of kinds) {
      const { entry } = program({ key: 'check', parameters: {}, folder: '', resume: false });
      if (!existsSync(join(root, entry)))
        throw new FatalError(`JOB_KINDS names ${name}, whose program ${entry} is not part of this installation`, {
          code: 'config-invalid',
        });
    }
    // Says at once when Redis is not there; from then on an outage is waited for.
    (await connectRedis({ url: config.redisUrl, clientName: service })).disconnect();
    const redis = createPatientRedis({ url: config.redisUrl, clientName: `${service} ${hostname()}`, log });
    resources.defer(() => redis.disconnect());
    const worker = resources.use(
      startJobWorker({
        redis,
        prefix: queuePrefix(config.kafka.namespace),
        kinds,
        log,
        metrics,
        root,
        environment: process.env,
        folder: config.jobs.folder,
        lockMs: config.jobs.lockMs,
        backoffMs: config.jobs.backoffMs,
        drainMs: config.jobs.drainMs,
      }),
    );
    resources.use(
      await startOperationsServer({
        ...config.operations,
        metrics,
        readiness: () => ({
          ready: redis.status === 'ready',
          detail: { redis: redis.status, kinds: config.jobs.kinds, running: worker.running() },
        }),
      }),
    );
  },
});
