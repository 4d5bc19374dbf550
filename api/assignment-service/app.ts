// The service as an HTTP application that does not listen yet: routes, validation, errors, documentation, metrics.
import Fastify, { type FastifyInstance } from 'fastify';
import type { ApiKeyStore } from '#api/authentication.ts';
import { allowOrigins } from '#api/cross-origin.ts';
import { documentApi } from '#api/openapi.ts';
import { operationsRoutes, type Readiness } from '#api/operations-routes.ts';
import type { RateLimiter } from '#api/rate-limit.ts';
import { limitDepth, limitRate } from '#api/request-limits.ts';
import { traceRequests } from '#api/trace-requests.ts';
import { answerUnreadableAddress, maxParamLength } from '#api/unreadable-address.ts';
import { storableTextFormat } from '#domain/definitions/definition-body.ts';
import { isStorableText } from '#domain/event/parse-event.ts';
import { promptStopOptions, stopPromptly } from '#platform/process/prompt-stop.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { Tracing } from '#platform/telemetry/tracing.ts';
import type { DefinitionFeed } from './definition-feed.ts';
import { handleErrors } from './request-error.ts';
import { type AssignmentRoutesDeps, assignmentRoutes } from './routes-assignments.ts';
import { definitionRoutes } from './routes-definitions-stream.ts';
import { type ExperimentRoutesDeps, experimentRoutes } from './routes-experiments.ts';
import { type ExplainRoutesDeps, explainRoutes } from './routes-explain.ts';
import { type OfrepRoutesDeps, ofrepRoutes } from './routes-ofrep.ts';
import { type PromotionRoutesDeps, promotionRoutes } from './routes-promotions.ts';
import { type ResultsRoutesDeps, resultsRoutes } from './routes-results.ts';
import { type UnitRoutesDeps, unitRoutes } from './routes-units.ts';

export type AppDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  assignments: Omit<AssignmentRoutesDeps, 'keys'>;
  experiments: Omit<ExperimentRoutesDeps, 'keys'>;
  promotions: PromotionRoutesDeps['promotions'];
  definitionFeed: DefinitionFeed;
  units: Omit<UnitRoutesDeps, 'keys'>;
  explain: Omit<ExplainRoutesDeps, 'keys'>;
  results: Omit<ResultsRoutesDeps, 'keys'>;
  flags: OfrepRoutesDeps['flags'];
  rateLimiter: RateLimiter;
  /** Web pages of these origins may call the service; none may when the list is empty. */
  corsOrigins: readonly string[];
  readiness: () => Readiness;
  metrics: Metrics;
  tracing: Tracing;
  /** Sets the gauges that are read from state; called before metrics are shown. */
  measure?: () => void;
  log: Logger;
};

const bodyBytes = 256 * 1024;

/** Builds the application; tests call `inject` on it, `main.ts` calls `listen`. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const app = Fastify({
    // Requests are counted and not logged; failures are logged by the error handler, without addresses that may hold ids.
    logger: false,
    bodyLimit: bodyBytes,
    requestTimeout: 30_000,
    ...promptStopOptions,
    routerOptions: { maxParamLength },
    frameworkErrors: answerUnreadableAddress,
    ajv: {
      customOptions: {
        // What the schema does not know is refused, and a text is not a number: nothing is changed silently.
        removeAdditional: false,
        coerceTypes: false,
        useDefaults: false,
        formats: { [storableTextFormat]: isStorableText },
      },
    },
  });
  handleErrors(app, deps.log);
  stopPromptly(app);
  traceRequests(app, deps.tracing);
  await documentApi(app, { title: 'Assignment service', description: 'Which variant does a unit get?' });

  const duration = deps.metrics.histogram(
    'http_request_duration_seconds',
    'From the request to the end of its answer',
    ['route', 'status'],
  );
  app.addHook('onResponse', (request, reply, done) => {
    const route = `${request.method} ${request.routeOptions.url ?? 'unknown'}`;
    duration.observe({ route, status: String(reply.statusCode) }, reply.elapsedTime / 1_000);
    done();
  });

  const limited = deps.metrics.counter(
    'http_requests_rate_limited_total',
    'Requests refused because their key asks too often',
  );
  limitRate(app, { rateLimiter: deps.rateLimiter, onRefused: () => limited.inc() });
  limitDepth(app);
  await allowOrigins(app, deps.corsOrigins, ['if-none-match', 'traceparent', 'x-api-key']);

  await app.register(operationsRoutes, {
    metrics: deps.metrics,
    measure: deps.measure ?? (() => undefined),
    readiness: deps.readiness,
  });
  await app.register(assignmentRoutes, { keys: deps.keys, ...deps.assignments });
  await app.register(experimentRoutes, { keys: deps.keys, ...deps.experiments });
  await app.register(promotionRoutes, { keys: deps.keys, promotions: deps.promotions });
  await app.register(definitionRoutes, { keys: deps.keys, feed: deps.definitionFeed, metrics: deps.metrics });
  await app.register(explainRoutes, { keys: deps.keys, ...deps.explain });
  await app.register(resultsRoutes, { keys: deps.keys, ...deps.results });
  await app.register(unitRoutes, { keys: deps.keys, ...deps.units });
  await app.register(ofrepRoutes, { keys: deps.keys, flags: deps.flags, log: deps.log });
  await app.ready();
  return app;
}
