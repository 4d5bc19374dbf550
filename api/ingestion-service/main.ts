// Composition root of the ingestion service.
import { runMain } from '#platform/process/run-main.ts';
import { ingestionServiceConfig } from './config.ts';
import { startService } from './start-service.ts';

await runMain({
  service: 'ingestion-service',
  config: ingestionServiceConfig,
  start: async ({ config, log, metrics, tracing, resources }) => {
    const app = await startService({ config, log, metrics, tracing, resources });
    const address = await app.listen(config.http);
    log.info({ address }, 'listening');
  },
});
