// One span per HTTP request, from its arrival to the end of its answer; continues the trace of the caller.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Traceparent, TraceSpan, Tracing } from '#platform/telemetry/tracing.ts';

export type RequestTraces = {
  /** Context that what happens on behalf of the request continues; undefined when it is not traced. */
  of(request: FastifyRequest): Traceparent | undefined;
};

/** Probes and metrics are asked for all day. */
const untraced = new Set(['/healthz', '/readyz', '/metrics']);

/** Adds the hooks, and none while tracing is off. Call it before those that may refuse a request. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): RequestTraces {
  if (!tracing.isOn) return { of: () => undefined };
  const spans = new WeakMap<FastifyRequest, TraceSpan>();
  app.addHook('onRequest', async (request) => {
    const route = request.routeOptions.url ?? 'unknown';
    if (untraced.has(route)) return;
    const { traceparent } = request.headers;
    const span = tracing.start(`${request.method} ${route}`, {
      kind: 'server',
      traceparent: typeof traceparent === 'string' ? traceparent : undefined,
      attributes: { 'http.request.method': request.method, 'http.route': route },
    });
    if (span !== undefined) spans.set(request, span);
  });
  app.addHook('onResponse', async (request, reply) => {
    const status = reply.statusCode;
    spans.get(request)?.end({
      attributes: { 'http.response.status_code': status },
      ...(status >= 500 ? { error: `answered with ${status}` } : {}),
    });
  });
  return { of: (request) => spans.get(request)?.traceparent };
}
