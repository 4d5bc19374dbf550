// How services say no: one error shape {code, message, field?} for every refusal, and one handler that makes it.
import { Type } from '@sinclair/typebox';
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchemaValidationError,
} from 'fastify';
import { classifyError, describeError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export const errorSchema = Type.Object({
  code: Type.String(),
  message: Type.String(),
  field: Type.Optional(Type.String()),
  problems: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
});

export type FieldProblem = { readonly field: string; readonly message: string };

export type ErrorBody = {
  readonly code: string;
  readonly message: string;
  /** The part of the request that is wrong, such as `variants[1].allocation`. */
  readonly field?: string;
  /** All problems, when there is more than one. */
  readonly problems?: readonly FieldProblem[];
};

/** A refusal that the caller can act on. */
export class RequestError extends Error {
  readonly statusCode: number;
  readonly body: ErrorBody;
  constructor(statusCode: number, body: ErrorBody) {
    super(body.message);
    this.name = 'RequestError';
    this.statusCode = statusCode;
    this.body = body;
  }
}

/** A refusal with the problems of several fields; the first one is also the error's own. */
export function createProblemsError(statusCode: number, code: string, problems: readonly FieldProblem[]): RequestError {
  const first = problems[0] ?? { field: '', message: 'the request cannot be carried out' };
  return new RequestError(statusCode, {
    code,
    message: first.field === '' ? first.message : `${first.field}: ${first.message}`,
    ...(first.field === '' ? {} : { field: first.field }),
    ...(problems.length > 1 ? { problems } : {}),
  });
}

/** `/variants/0/allocation` as `variants[0].allocation`. */
function toFieldPath(instancePath: string): string {
  return instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`), '');
}

function toFieldProblem(error: FastifySchemaValidationError): FieldProblem {
  const path = toFieldPath(error.instancePath);
  const below = (name: unknown): string => (path === '' ? String(name) : `${path}.${String(name)}`);
  switch (error.keyword) {
    case 'required':
      return { field: below(error.params.missingProperty), message: 'is required' };
    case 'additionalProperties':
      return { field: below(error.params.additionalProperty), message: 'is not a known field' };
    case 'enum':
      return { field: path, message: `must be one of ${(error.params.allowedValues as unknown[]).join(', ')}` };
    default:
      return { field: path, message: error.message ?? 'is not valid' };
  }
}

const codeOfStatus: Readonly<Record<number, string>> = {
  400: 'invalid-request',
  404: 'not-found',
  405: 'method-not-allowed',
  413: 'too-large',
  415: 'unsupported-media-type',
};

/** Seconds after which a refused caller may come back; a second is about as long as a failover check. */
const retryAfterSeconds = 1;

function toErrorResponse(error: FastifyError, log: Logger): { status: number; body: ErrorBody } {
  if (error instanceof RequestError) return { status: error.statusCode, body: error.body };
  if (error.validation !== undefined && error.validation.length > 0) {
    const { field, message } = toFieldProblem(error.validation[0]!);
    const place = field === '' ? (error.validationContext ?? 'body') : field;
    return { status: 400, body: { code: 'invalid-request', message: `${place} ${message}`, field: place } };
  }
  const status = error.statusCode;
  if (status !== undefined && status >= 400 && status < 500) {
    return { status, body: { code: codeOfStatus[status] ?? 'invalid-request', message: error.message } };
  }
  switch (classifyError(error)) {
    case 'retryable':
      log.warn({ cause: describeError(error) }, 'a request was refused because a dependency is away');
      return {
        status: 503,
        body: { code: 'unavailable', message: 'this cannot be answered at the moment; try again, which is safe' },
      };
    case 'record':
      log.info({ cause: describeError(error) }, 'a request holds what cannot be stored');
      return {
        status: 400,
        body: { code: 'invalid-request', message: 'the request holds text that cannot be stored' },
      };
    case 'fatal':
      log.error({ err: error, cause: describeError(error) }, 'a request failed');
      return { status: 500, body: { code: 'internal', message: 'the service failed; its log says why' } };
  }
}

/** Sets the handlers for errors and for unknown paths. */
export function handleErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
    const { status, body } = toErrorResponse(error, log);
    if (status === 503 || status === 429) reply.header('retry-after', retryAfterSeconds);
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ code: 'not-found', message: 'there is nothing at this path for this method' }),
  );
}
