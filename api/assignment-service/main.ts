// Composition root of the assignment service.
import { hostname } from 'node:os';
import { runMain } from '#platform/process/run-main.ts';
import { assignmentServiceConfig } from './config.ts';
import { startService } from './start-service.ts';

await runMain({
  service: 'assignment-service',
  config: assignmentServiceConfig,
  start: async ({ config, log, metrics, tracing, resources }) => {
    const app = await startService({
      config,
      log,
      metrics,
      tracing,
      resources,
      instance: `${hostname()}:${process.pid}`,
    });
    const address = await app.listen(config.http);
    log.info({ address }, 'listening');
  },
});
