// Health and metrics endpoints of processes that serve no other HTTP: /healthz, /readyz, /metrics.
import Fastify from 'fastify';
import type { Metrics } from '#platform/telemetry/metrics.ts';

export type Readiness = () => { ready: boolean; detail: Readonly<Record<string, unknown>> };

export type OperationsServer = { address: string; [Symbol.asyncDispose](): Promise<void> };

/** Listens until disposed. `/healthz` says the process lives, `/readyz` that it can do its work. */
export async function startOperationsServer(options: {
  host: string;
  port: number;
  metrics: Metrics;
  readiness: Readiness;
}): Promise<OperationsServer> {
  const app = Fastify({ logger: false });
  app.get('/healthz', async () => ({ status: 'alive' }));
  app.get('/readyz', async (_request, reply) => {
    const state = options.readiness();
    return reply.code(state.ready ? 200 : 503).send({ status: state.ready ? 'ready' : 'not ready', ...state.detail });
  });
  app.get('/metrics', async (_request, reply) => {
    const exposition = await options.metrics.expose();
    return reply.header('content-type', exposition.contentType).send(exposition.text);
  });
  const address = await app.listen({ host: options.host, port: options.port });
  return { address, [Symbol.asyncDispose]: () => app.close() };
}
