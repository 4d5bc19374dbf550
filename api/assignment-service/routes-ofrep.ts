// OpenFeature's Remote Evaluation Protocol (OFREP 0.3.0): one flag, or all flags with an entity tag.
import { type TSchema, Type } from '@sinclair/typebox';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ApiKeyStore, requireScope } from '#api/authentication.ts';
import { storableTextFormat } from '#domain/definitions/definition-body.ts';
import type { FlagErrorCode } from '#domain/ofrep/flag-evaluation.ts';
import { classifyError, describeError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import { RequestError } from './request-error.ts';
import { entityTagOf, type FlagContext, type FlagEvaluator, namesEntityTag } from './routes-ofrep-evaluate.ts';
import { errorSchema } from './wire-schemas.ts';

export type OfrepRoutesDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  flags: FlagEvaluator;
  log: Logger;
};

const open = { additionalProperties: true } as const;
const evaluationRequestSchema = Type.Object(
  {
    context: Type.Object(
      {
        targetingKey: Type.String({
          minLength: 1,
          maxLength: 256,
          format: storableTextFormat,
          description: 'Id of the unit',
          examples: ['user-42'],
        }),
        unit_type: Type.Optional(Type.String({ description: 'Type of the unit; flags of other types get no variant' })),
      },
      open,
    ),
  },
  open,
);
const flagSchema = Type.Object(
  {
    key: Type.String({ description: 'Key of the experiment' }),
    reason: Type.String({ description: 'STATIC, TARGETING_MATCH, SPLIT, DISABLED or UNKNOWN' }),
    variant: Type.Optional(Type.String()),
    value: Type.Optional(Type.Unsafe<object>({ type: 'object', ...open, description: "The variant's whole config" })),
    metadata: Type.Unsafe<object>({ type: 'object', ...open }),
  },
  { description: 'Without a value the client uses the default in its code' },
);
const failureSchema = Type.Object(
  { key: Type.Optional(Type.String()), errorCode: Type.String(), errorDetails: Type.Optional(Type.String()) },
  open,
);
/** Before a flag is looked at, refusals have the shape that they have everywhere; the protocol leaves it open. */
const failures = (...statuses: readonly number[]): Record<number, TSchema> => ({
  ...Object.fromEntries([401, 403, 429].map((status) => [status, errorSchema])),
  ...Object.fromEntries(statuses.map((status) => [status, failureSchema])),
});

const bulkQuerySchema = Type.Object(
  {
    flagConfigEtag: Type.Optional(Type.String()),
    flagConfigLastModified: Type.Optional(Type.String()),
  },
  open,
);

type Failure = { status: number; errorCode: FlagErrorCode; errorDetails: string };

/** What is wrong with a request in OFREP's words. */
function toFailure(error: FastifyError, log: Logger): Failure {
  const [problem] = error.validation ?? [];
  if (problem !== undefined) {
    const isKeyMissing =
      (problem.keyword === 'required' && problem.params.missingProperty === 'targetingKey') ||
      (problem.keyword === 'minLength' && problem.instancePath === '/context/targetingKey');
    return {
      status: 400,
      errorCode: isKeyMissing ? 'TARGETING_KEY_MISSING' : 'INVALID_CONTEXT',
      errorDetails: isKeyMissing
        ? 'the context needs a targetingKey: the id of the unit'
        : `${problem.instancePath.slice(1).replaceAll('/', '.') || 'the body'} ${problem.message ?? 'is not valid'}`,
    };
  }
  if (error instanceof RequestError) {
    return { status: error.statusCode, errorCode: 'INVALID_CONTEXT', errorDetails: error.message };
  }
  const status = error.statusCode;
  if (status !== undefined && status >= 400 && status < 500) {
    return { status, errorCode: status === 400 ? 'PARSE_ERROR' : 'GENERAL', errorDetails: error.message };
  }
  if (classifyError(error) === 'retryable') {
    log.warn({ cause: describeError(error) }, 'a flag was not evaluated because a dependency is away');
    return { status: 503, errorCode: 'GENERAL', errorDetails: 'this cannot be evaluated at the moment; try again' };
  }
  log.error({ err: error, cause: describeError(error) }, 'an evaluation failed');
  return { status: 500, errorCode: 'GENERAL', errorDetails: 'the service failed; its log says why' };
}

/** OFREP clients may send their key in a header of its own. */
async function acceptKeyHeader(request: FastifyRequest): Promise<void> {
  const key = request.headers['x-api-key'];
  if (request.headers.authorization === undefined && typeof key === 'string') {
    request.headers.authorization = `Bearer ${key}`;
  }
}

export async function ofrepRoutes(app: FastifyInstance, deps: OfrepRoutesDeps): Promise<void> {
  const { flags, log } = deps;
  const onRequest = [acceptKeyHeader, requireScope(deps.keys, 'assign')];
  const tags = ['ofrep'];
  const security = [{ apiKey: ['assign'] }];

  app.setErrorHandler((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    const { status, ...body } = toFailure(error, log);
    if (status === 503) reply.header('retry-after', 1);
    const { key } = request.params as { key?: string };
    return reply.code(status).send({ ...(key === undefined ? {} : { key }), ...body });
  });

  app.post<{ Body: { context: FlagContext }; Params: { key: string } }>(
    '/ofrep/v1/evaluate/flags/:key',
    {
      onRequest,
      schema: {
        summary: 'Evaluate one flag',
        description:
          'Flag = experiment, variant = variant, value = its config. Enrolls the unit, as POST /v1/assignments.',
        tags,
        security,
        params: Type.Object({ key: Type.String({ minLength: 1, description: 'Key of the experiment' }) }),
        body: evaluationRequestSchema,
        response: { 200: flagSchema, ...failures(400, 404, 413, 415, 500, 503) },
      },
    },
    async (request, reply) => {
      const { key } = request.params;
      const evaluation = await flags.evaluateFlag(key, request.body.context);
      if (evaluation === null) {
        return reply
          .code(404)
          .send({ key, errorCode: 'FLAG_NOT_FOUND', errorDetails: `there is no experiment with the key ${key}` });
      }
      return reply.send(evaluation);
    },
  );

  app.post<{ Body: { context: FlagContext } }>(
    '/ofrep/v1/evaluate/flags',
    {
      onRequest,
      schema: {
        summary: 'Evaluate all flags',
        description: 'Answers stored assignments and what would be assigned now, and stores nothing.',
        tags,
        security,
        querystring: bulkQuerySchema,
        body: evaluationRequestSchema,
        response: {
          200: Type.Object({ flags: Type.Array(flagSchema) }),
          304: Type.Null({ description: 'Nothing changed since the answer with this entity tag' }),
          ...failures(400, 413, 415, 500, 503),
        },
      },
    },
    async (request, reply) => {
      const body = JSON.stringify({ flags: await flags.evaluateAll(request.body.context) });
      const tag = entityTagOf(body);
      reply.header('etag', tag).header('cache-control', 'no-cache');
      if (namesEntityTag(request.headers['if-none-match'], tag)) return reply.code(304).send();
      return reply.type('application/json; charset=utf-8').serializer(String).send(body);
    },
  );
}
