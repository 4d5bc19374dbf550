// The service as an HTTP application that does not listen yet: admission, bodies, results, errors, documentation, metrics.
import { Type } from '@sinclair/typebox';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { type ApiKeyStore, getCaller, requireScope } from '#api/authentication.ts';
import { allowOrigins } from '#api/cross-origin.ts';
import type { AcceptEvents, EventResult } from '#api/ingestion-service/accept-events.ts';
import type { Admission } from '#api/ingestion-service/admission.ts';
import { EventBody } from '#api/ingestion-service/event-body.ts';
import { type IdempotencyKey, parseIdempotencyKey } from '#api/ingestion-service/event-identity.ts';
import {
  addEventParsers,
  type BodyLimits,
  RequestError,
  type RequestEvents,
  refuseUnknownEncoding,
} from '#api/ingestion-service/request-body.ts';
import { documentApi } from '#api/openapi.ts';
import { operationsRoutes } from '#api/operations-routes.ts';
import type { RateLimiter } from '#api/rate-limit.ts';
import { limitRate } from '#api/request-limits.ts';
import { traceRequests } from '#api/trace-requests.ts';
import { answerUnreadableAddress } from '#api/unreadable-address.ts';
import { classifyError, describeError } from '#platform/errors.ts';
import { promptStopOptions, stopPromptly } from '#platform/process/prompt-stop.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { Tracing } from '#platform/telemetry/tracing.ts';

export type AppDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  admission: Admission;
  acceptEvents: AcceptEvents;
  limits: BodyLimits;
  rateLimiter: RateLimiter;
  /** Web pages of these origins may call the service; none may when the list is empty. */
  corsOrigins: readonly string[];
  readiness: () => { ready: boolean; detail: Readonly<Record<string, unknown>> };
  /** Sets the gauges that are read from state; called before metrics are shown. */
  measure: () => void;
  metrics: Metrics;
  tracing: Tracing;
  log: Logger;
};

const retryAfterSeconds = 1;

const resultSchema = Type.Object({
  index: Type.Integer(),
  event_id: Type.Optional(Type.String()),
  status: Type.String({ description: 'accepted, rejected or unknown' }),
  code: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  field: Type.Optional(Type.String()),
});
const answerSchema = Type.Object({
  code: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  field: Type.Optional(Type.String()),
  accepted: Type.Integer(),
  rejected: Type.Integer(),
  results: Type.Array(resultSchema),
});
const errorSchema = Type.Object({
  code: Type.String(),
  message: Type.String(),
  field: Type.Optional(Type.String()),
});

type Answer = { status: 202 | 207 | 400 | 503; body: Record<string, unknown> };

/** 202 when all are accepted, 503 when any is unknown, 400 when all are rejected, 207 otherwise. */
export function toAnswer(results: readonly EventResult[]): Answer {
  const accepted = results.filter(({ status }) => status === 'accepted').length;
  const rejected = results.filter(({ status }) => status === 'rejected').length;
  const body = { accepted, rejected, results };
  if (accepted === results.length) return { status: 202, body };
  if (accepted + rejected < results.length) {
    const message = 'Kafka did not acknowledge all events in time; a repetition with the same event ids is safe';
    return { status: 503, body: { code: 'not-acknowledged', message, ...body } };
  }
  if (accepted > 0) return { status: 207, body };
  const first = results[0]!;
  if (results.length > 1 || first.status !== 'rejected')
    return { status: 400, body: { code: 'rejected', message: 'no event was accepted', ...body } };
  const { code, message, field } = first;
  return { status: 400, body: { code, message, ...(field === undefined ? {} : { field }), ...body } };
}

const codeOfStatus: Readonly<Record<number, string>> = {
  404: 'not-found',
  413: 'too-large',
  415: 'unsupported-media-type',
};

function sendError(
  reply: FastifyReply,
  status: number,
  body: { code: string; message: string; field?: string },
): FastifyReply {
  if (status === 429 || status === 503) reply.header('retry-after', retryAfterSeconds);
  return reply.code(status).send(body);
}

function handleErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    if (error instanceof RequestError) {
      const { code, message, field } = error;
      return sendError(reply, error.statusCode, { code, message, ...(field === undefined ? {} : { field }) });
    }
    const status = error.statusCode;
    if (status !== undefined && status >= 400 && status < 500) {
      return sendError(reply, status, { code: codeOfStatus[status] ?? 'invalid', message: error.message });
    }
    if (classifyError(error) === 'retryable') {
      log.warn({ cause: describeError(error) }, 'a request was refused because a dependency is away');
      return sendError(reply, 503, {
        code: 'unavailable',
        message: 'this cannot be answered at the moment; a repetition is safe',
      });
    }
    log.error({ err: error, cause: describeError(error) }, 'a request failed');
    return sendError(reply, 500, { code: 'internal', message: 'the service failed; its log says why' });
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ code: 'not-found', message: 'there is nothing at this path for this method' }),
  );
}

function keyOf(header: string | string[] | undefined): IdempotencyKey | null {
  if (header === undefined) return null;
  const key = typeof header === 'string' ? parseIdempotencyKey(header) : null;
  if (key === null)
    throw new RequestError(400, 'invalid', 'must be 1 to 255 visible ASCII characters', 'Idempotency-Key');
  return key;
}

/** Builds the application; tests call `inject` on it, `main.ts` calls `listen`. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { metrics } = deps;
  const app = Fastify({
    logger: false,
    bodyLimit: deps.limits.maxBodyBytes,
    requestTimeout: 60_000,
    ...promptStopOptions,
    frameworkErrors: answerUnreadableAddress,
  });
  handleErrors(app, deps.log);
  stopPromptly(app);
  const traces = traceRequests(app, deps.tracing);
  addEventParsers(app, { limits: deps.limits, reserve: deps.admission.reserve });
  await documentApi(app, { title: 'Ingestion service', description: 'What happened to which unit?' });

  const answers = metrics.counter('ingest_answers_total', 'Answers by status', ['status']);
  // There from the start: the first increase of a series that was not there before is invisible to Prometheus.
  for (const status of ['202', '429', '500', '503']) answers.inc({ status }, 0);
  const events = metrics.counter('ingest_events_total', 'Events by outcome and code', ['outcome', 'code']);
  const limited = metrics.counter('ingest_requests_rate_limited_total', 'Requests of keys that ask too often');
  limitRate(app, { rateLimiter: deps.rateLimiter, onRefused: () => limited.inc() });
  await allowOrigins(app, deps.corsOrigins, ['content-encoding', 'idempotency-key', 'traceparent']);
  const seconds = metrics.histogram('ingest_request_duration_seconds', 'From the request to the end of its answer');

  await app.register(operationsRoutes, { metrics, measure: deps.measure, readiness: deps.readiness });

  app.post(
    '/v1/events',
    {
      onRequest: [
        requireScope(deps.keys, 'ingest'),
        async (request, reply) => {
          refuseUnknownEncoding(request);
          deps.admission.admit(request, reply);
        },
      ],
      onResponse: async (_request, reply) => {
        answers.inc({ status: String(reply.statusCode) });
        seconds.observe(reply.elapsedTime / 1_000);
      },
      // The schema documents the body; each event is checked on its own, so that one bad event does not refuse the others.
      validatorCompiler: () => () => true,
      schema: {
        summary: 'Send one event or a batch; 202 means that all of them are on Kafka with acks=all',
        security: [{ apiKey: ['ingest'] }],
        consumes: ['application/json', 'application/x-ndjson'],
        body: Type.Union([
          EventBody,
          Type.Array(EventBody),
          Type.Object({ events: Type.Array(EventBody) }, { additionalProperties: false }),
        ]),
        response: {
          202: answerSchema,
          207: answerSchema,
          400: Type.Union([answerSchema, errorSchema]),
          401: errorSchema,
          403: errorSchema,
          413: errorSchema,
          415: errorSchema,
          429: errorSchema,
          500: errorSchema,
          503: Type.Union([answerSchema, errorSchema]),
        },
      },
      // Answers are written as they are: choosing between the documented shapes would only cost time.
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      // Without a body there is no media type either, and nothing was parsed.
      if (request.body == null)
        throw new RequestError(400, 'invalid', 'an event or a list of events is needed as body');
      const results = await deps.acceptEvents(
        request.body as RequestEvents,
        getCaller(request).name,
        keyOf(request.headers['idempotency-key']),
        traces.of(request),
      );
      for (const result of results) events.inc({ outcome: result.status, code: 'code' in result ? result.code : 'ok' });
      const { status, body } = toAnswer(results);
      if (status === 503) reply.header('retry-after', retryAfterSeconds);
      return reply.code(status).send(body);
    },
  );
  await app.ready();
  return app;
}
