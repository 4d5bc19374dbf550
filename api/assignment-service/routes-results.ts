// GET /v1/experiments/{key}/results: what an experiment has shown, computed from Postgres when it is asked for.
import { type Static, Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { type ApiKeyStore, requireScope } from '#api/authentication.ts';
import { toWire } from '#domain/results/to-wire.ts';
import { RequestError } from './request-error.ts';
import type { ResultsReader } from './results-reader.ts';
import { errorResponses, experimentParamsSchema } from './wire-schemas.ts';

export type ResultsRoutesDeps = { keys: Pick<ApiKeyStore, 'find'>; readResults: ResultsReader };

const flag = (description: string) =>
  Type.Optional(Type.Unsafe<'true' | 'false'>({ enum: ['true', 'false'], description }));
const querySchema = Type.Object(
  {
    history: flag('true: effects cumulated by day of first exposure'),
    segments: flag("true: effects by the segments of the definition's analysis"),
  },
  { additionalProperties: false },
);

const open = (description: string) => Type.Unsafe<object>({ type: 'object', additionalProperties: true, description });
const listOf = (description: string) =>
  Type.Array(Type.Unsafe<object>({ type: 'object', additionalProperties: true }), { description });

/** The full shape is that of domain/results/results.ts in snake_case. */
const resultsSchema = Type.Object({
  experiment: open('Which iteration and version'),
  control: open('What the others are compared with'),
  as_of: Type.String({ description: 'When the rows were read' }),
  settings: open('Test, error rates, planned size, with every default filled in'),
  periods: listOf('Assignment periods: coverage, serving and units of each'),
  analysis_ended_at: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'Events from here on do not count, because delivery deviated from the assignments',
  }),
  units: open('Analyzed, left out by reason, assigned without exposure'),
  sample_ratio: open('Of exposed and of assigned units: by chi-square now, and over all looks'),
  metrics: listOf(
    'Values by variant, and per treatment effect, interval, p-value, Bayesian reading, power and guardrail. What cannot be computed has status not-computable with a reason; an open end of an interval is null',
  ),
  decisions: listOf(
    'Per treatment: keep running, ship, stop: guardrail, stop: harmful, inconclusive at planned size, invalid: sample ratio; with the evidence in words',
  ),
  notes: Type.Array(Type.String()),
});

export async function resultsRoutes(app: FastifyInstance, deps: ResultsRoutesDeps): Promise<void> {
  app.get<{ Params: { key: string }; Querystring: Static<typeof querySchema> }>(
    '/v1/experiments/:key/results',
    {
      onRequest: requireScope(deps.keys, 'read', 'admin'),
      schema: {
        summary: 'Results of the current iteration of an experiment, or of the one with this id',
        tags: ['experiments'],
        security: [{ apiKey: ['read'] }, { apiKey: ['admin'] }],
        params: experimentParamsSchema,
        querystring: querySchema,
        response: { 200: resultsSchema, ...errorResponses(404) },
      },
    },
    async (request, reply) => {
      const { key } = request.params;
      const { history, segments } = request.query;
      const answer = await deps.readResults(key, { history: history === 'true', segments: segments === 'true' });
      if (answer.status === 'busy') {
        return reply
          .code(503)
          .header('retry-after', '2')
          .send({ code: 'busy', message: 'other results are being computed: ask again in a moment' });
      }
      if (answer.results === null) {
        throw new RequestError(404, {
          code: 'unknown-experiment',
          field: 'key',
          message: `there is no experiment ${key}`,
        });
      }
      return toWire(answer.results);
    },
  );
}
