// What operators and tools ask: /healthz, /readyz, /metrics, /openapi.json.
import type { FastifyInstance } from 'fastify';
import type { Metrics } from '#platform/telemetry/metrics.ts';

export type Readiness = { ready: boolean; detail: Readonly<Record<string, unknown>> };

export async function operationsRoutes(
  app: FastifyInstance,
  deps: { metrics: Metrics; measure: () => void; readiness: () => Readiness },
): Promise<void> {
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'alive' }));
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    const { ready, detail } = deps.readiness();
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', ...detail });
  });
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    deps.measure();
    const { contentType, text } = await deps.metrics.expose();
    return reply.header('content-type', contentType).send(text);
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}
