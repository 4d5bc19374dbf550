// Promotions over HTTP: start one, look at it, approve, finish, roll back.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type ApiKeyStore, getCaller, requireScope } from '#api/authentication.ts';
import { parseRampPlan } from '#domain/promotion/ramp-plan.ts';
import type { JsonObject } from '#domain/targeting/condition.ts';
import type { Alignment } from '#producers/promotion-store/align-models.ts';
import { toLookDocument, toPromotionDocument } from '#producers/promotion-store/promotion-document.ts';
import type { Promotion } from '#producers/promotion-store/promotion-state.ts';
import { defaultPromotionMetrics, type StartRequest } from '#producers/promotion-store/start-promotion.ts';
import type { PromotionAccess } from './promotion-access.ts';
import {
  changedPromotionSchema,
  finishPromotionSchema,
  lookListSchema,
  lookSchema,
  promotionParamsSchema,
  promotionWithLedgerSchema,
  reasonSchema,
  type StartPromotionBody,
  startPromotionSchema,
} from './promotion-schemas.ts';
import { createProblemsError } from './request-error.ts';
import { errorResponses } from './wire-schemas.ts';

export type PromotionRoutesDeps = { keys: Pick<ApiKeyStore, 'find'>; promotions: PromotionAccess };

type Params = { experiment: string };

function toStartRequest(body: StartPromotionBody): StartRequest {
  const parsed = parseRampPlan({
    steps: body.steps,
    holdAbove: body.hold_above,
    minUnits: body.min_units,
    minSeconds: body.min_seconds,
  });
  if (!parsed.ok) throw createProblemsError(400, 'invalid-request', parsed.problems);
  const at = body.model.lastIndexOf('/');
  return {
    model: { name: body.model.slice(0, at), version: Number(body.model.slice(at + 1)) },
    policyName: body.policy,
    experimentKey: body.experiment,
    unitType: body.unit_type,
    plan: parsed.plan,
    metrics: {
      ...defaultPromotionMetrics,
      ...(body.primary === undefined ? {} : { primary: body.primary }),
      ...(body.guardrails === undefined ? {} : { guardrails: body.guardrails }),
    },
    analysis: body.guardrail_units === undefined ? undefined : { guardrail_units: body.guardrail_units },
    params: body.params as JsonObject | undefined,
    force: body.force,
  };
}

const answer = ({ promotion, mlflow }: { promotion: Promotion; mlflow: Alignment }) => ({
  ...toPromotionDocument(promotion),
  mlflow,
});

export async function promotionRoutes(app: FastifyInstance, { keys, promotions }: PromotionRoutesDeps): Promise<void> {
  const onRead = requireScope(keys, 'read', 'admin');
  const onChange = requireScope(keys, 'admin');
  const readSecurity = [{ apiKey: ['read'] }, { apiKey: ['admin'] }];
  const change = { tags: ['promotions'], security: [{ apiKey: ['admin'] }] };
  const authorOf = (request: FastifyRequest<{ Body: { reason: string } }>) => ({
    actor: getCaller(request).name,
    reason: request.body.reason,
  });

  app.post<{ Body: StartPromotionBody }>(
    '/v1/promotions',
    {
      onRequest: onChange,
      schema: {
        ...change,
        summary: 'Start the promotion of a model version',
        description:
          'Needs a passed gate for exactly this version. 409 says which replays there are; while the policy has a promotion under way, too.',
        body: startPromotionSchema,
        response: { 201: changedPromotionSchema, ...errorResponses(409) },
      },
    },
    async (request, reply) => {
      const started = await promotions.start(toStartRequest(request.body), authorOf(request));
      return reply.code(201).send(answer(started));
    },
  );

  app.get(
    '/v1/promotions',
    {
      onRequest: onRead,
      schema: {
        tags: ['promotions'],
        security: readSecurity,
        summary: 'All promotions and what each waits for',
        response: { 200: lookListSchema, ...errorResponses() },
      },
    },
    async () => ({ promotions: (await promotions.list()).map(toLookDocument) }),
  );

  app.get<{ Params: Params }>(
    '/v1/promotions/:experiment',
    {
      onRequest: onRead,
      schema: {
        tags: ['promotions'],
        security: readSecurity,
        summary: 'One promotion, what it waits for, and its ledger',
        params: promotionParamsSchema,
        response: { 200: promotionWithLedgerSchema, ...errorResponses(404) },
      },
    },
    async (request) => {
      const { look, ledger } = await promotions.show(request.params.experiment);
      return { ...toLookDocument(look), ledger };
    },
  );

  app.post<{ Params: Params }>(
    '/v1/promotions/:experiment/check',
    {
      onRequest: onChange,
      schema: {
        ...change,
        summary: 'One look at the ramp: takes the step that is due, or says why not',
        params: promotionParamsSchema,
        response: { 200: lookSchema, ...errorResponses(404) },
      },
    },
    async (request) => toLookDocument(await promotions.check(request.params.experiment, getCaller(request).name)),
  );

  app.post<{ Params: Params; Body: { reason: string } }>(
    '/v1/promotions/:experiment/approve',
    {
      onRequest: onChange,
      schema: {
        ...change,
        summary: 'Let the ramp go above the share at which it holds',
        params: promotionParamsSchema,
        body: reasonSchema,
        response: { 200: lookSchema, ...errorResponses(404, 409) },
      },
    },
    async (request) => toLookDocument(await promotions.approve(request.params.experiment, authorOf(request))),
  );

  app.post<{ Params: Params; Body: { reason: string; force?: string } }>(
    '/v1/promotions/:experiment/finish',
    {
      onRequest: onChange,
      schema: {
        ...change,
        summary: 'Put the candidate into production',
        description: 'Everybody gets the candidate, and its predecessor is retired. Repeating it changes nothing.',
        params: promotionParamsSchema,
        body: finishPromotionSchema,
        response: { 200: changedPromotionSchema, ...errorResponses(404, 409) },
      },
    },
    async (request) =>
      answer(await promotions.finish(request.params.experiment, authorOf(request), request.body.force)),
  );

  app.post<{ Params: Params; Body: { reason: string } }>(
    '/v1/promotions/:experiment/roll-back',
    {
      onRequest: onChange,
      schema: {
        ...change,
        summary: 'Stop a promotion, or take a finished one back',
        description: 'Changes what is delivered; stored assignments stay as they are. Repeating it changes nothing.',
        params: promotionParamsSchema,
        body: reasonSchema,
        response: { 200: changedPromotionSchema, ...errorResponses(404, 409) },
      },
    },
    async (request) => answer(await promotions.rollBack(request.params.experiment, authorOf(request))),
  );
}
