// Composition root of the planner service.
import { runMain } from '#platform/process/run-main.ts';
import { plannerServiceConfig } from './config.ts';
import { startService } from './start-service.ts';

await runMain({
  service: 'planner-service',
  config: plannerServiceConfig,
  start: async ({ config, log, metrics, tracing, resources }) => {
    const app = await startService({ config, log, metrics, tracing, resources });
    const address = await app.listen(config.http);
    log.info({ address }, 'listening');
  },
});
