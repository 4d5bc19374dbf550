// The service as an HTTP application that does not listen yet: the route, validation, errors, documentation, metrics.
import Fastify, { type FastifyInstance } from 'fastify';
import { type ApiKeyStore, requireScope } from '#api/authentication.ts';
import { allowOrigins } from '#api/cross-origin.ts';
import { documentApi } from '#api/openapi.ts';
import { operationsRoutes } from '#api/operations-routes.ts';
import type { RateLimiter } from '#api/rate-limit.ts';
import { errorSchema, handleErrors } from '#api/request-error.ts';
import { limitDepth, limitRate } from '#api/request-limits.ts';
import { traceRequests } from '#api/trace-requests.ts';
import { answerUnreadableAddress } from '#api/unreadable-address.ts';
import { promptStopOptions, stopPromptly } from '#platform/process/prompt-stop.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { Tracing } from '#platform/telemetry/tracing.ts';
import type { ServePlan } from './serve-plan.ts';
import { bodyBytes, type PlanBody, planAnswerSchema, planBodySchema } from './wire-schemas.ts';

export type AppDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  servePlan: ServePlan;
  rateLimiter: RateLimiter;
  corsOrigins: readonly string[];
  readiness: () => { readonly ready: boolean; readonly detail: Readonly<Record<string, unknown>> };
  /** Sets the gauges that are read from state; called before metrics are shown. */
  measure: () => void;
  metrics: Metrics;
  tracing: Tracing;
  log: Logger;
};

/** Builds the application; tests call `inject` on it, `main.ts` calls `listen`. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { metrics } = deps;
  const app = Fastify({
    logger: false,
    bodyLimit: bodyBytes,
    requestTimeout: 70_000,
    ...promptStopOptions,
    frameworkErrors: answerUnreadableAddress,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false } },
  });
  handleErrors(app, deps.log);
  stopPromptly(app);
  traceRequests(app, deps.tracing);
  await documentApi(app, { title: 'Planner service', description: 'What does a household cook?' });

  const answers = metrics.counter('planner_answers_total', 'Answers by status', ['status']);
  for (const status of ['200', '429', '500', '503']) answers.inc({ status }, 0);
  const limited = metrics.counter(
    'http_requests_rate_limited_total',
    'Requests refused because their key asks too often',
  );
  limitRate(app, { rateLimiter: deps.rateLimiter, onRefused: () => limited.inc() });
  limitDepth(app);
  await allowOrigins(app, deps.corsOrigins, ['traceparent']);

  await app.register(operationsRoutes, { metrics, measure: deps.measure, readiness: deps.readiness });

  app.post<{ Body: PlanBody }>(
    '/v1/plans',
    {
      onRequest: requireScope(deps.keys, 'assign'),
      onResponse: async (_request, reply) => answers.inc({ status: String(reply.statusCode) }),
      schema: {
        summary: 'Plan meals for a household',
        description: 'Answers with the plan of the household’s variant, and logs request, plan and choices as events',
        security: [{ apiKey: ['assign'] }],
        body: planBodySchema,
        response: {
          200: planAnswerSchema,
          ...Object.fromEntries([400, 401, 403, 404, 413, 415, 429, 500, 503].map((status) => [status, errorSchema])),
        },
      },
      serializerCompiler: () => JSON.stringify,
    },
    (request) => deps.servePlan(request.body),
  );
  await app.ready();
  return app;
}
