// Experiments over HTTP: define, read, set coverage, change status and serving.
import type { FastifyInstance, FastifyReply } from 'fastify';
import { type ApiKeyStore, getCaller, requireScope } from '#api/authentication.ts';
import { type DefinitionBody, definitionBodySchema } from '#domain/definitions/definition-body.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { ChangeResult } from '#producers/definition-store/change-definition.ts';
import { toDefinitionDocument } from '#producers/definition-store/definition-document.ts';
import { selectCurrentIteration } from '#producers/definition-store/definition-rows.ts';
import type { DefinitionAccess } from './definition-access.ts';
import { commandForServing, commandForTransition } from './experiment-commands.ts';
import { createProblemsError, RequestError } from './request-error.ts';
import {
  changedExperimentSchema,
  coverageChangeSchema,
  definitionQuerySchema,
  errorResponses,
  experimentParamsSchema,
  experimentQuerySchema,
  experimentSchema,
  type ServingChange,
  servingChangeSchema,
  type Transition,
  transitionSchema,
} from './wire-schemas.ts';

export type ExperimentRoutesDeps = { keys: Pick<ApiKeyStore, 'find'>; definitions: DefinitionAccess };

type Params = { key: string };

const createUnknownError = (keyOrId: string): RequestError =>
  new RequestError(404, { code: 'unknown-experiment', message: `there is no experiment ${keyOrId}`, field: 'key' });

/** The document of a change that is in force, or the refusal as an error. */
function answerChange(result: ChangeResult, keyOrId: string, reply: FastifyReply): FastifyReply {
  switch (result.status) {
    case 'created':
    case 'changed':
    case 'unchanged':
      return reply
        .code(result.status === 'created' ? 201 : 200)
        .send({ ...toDefinitionDocument(result.experiment), notes: result.notes });
    case 'invalid':
      throw createProblemsError(400, 'invalid-request', result.problems);
    case 'refused':
      throw createProblemsError(409, 'refused', result.problems);
    case 'unchecked':
      throw createProblemsError(503, 'unavailable', result.problems);
    case 'stale':
      throw new RequestError(409, {
        code: 'stale-version',
        field: 'expected_version',
        message: `experiment ${keyOrId} is at version ${result.version}: read it again and decide again`,
      });
    case 'unknown':
      throw createUnknownError(keyOrId);
  }
}

export async function experimentRoutes(app: FastifyInstance, deps: ExperimentRoutesDeps): Promise<void> {
  const { definitions } = deps;
  const onRead = requireScope(deps.keys, 'read', 'admin');
  const onChange = requireScope(deps.keys, 'admin');
  const tags = ['experiments'];
  const readSecurity = [{ apiKey: ['read'] }, { apiKey: ['admin'] }];
  const changeSecurity = [{ apiKey: ['admin'] }];

  app.post<{ Body: DefinitionBody; Querystring: { reason?: string; expected_version?: string } }>(
    '/v1/experiments',
    {
      onRequest: onChange,
      schema: {
        summary: 'Create or edit an experiment',
        description: 'Repeating a definition changes nothing. 409 says which rule protects the running experiment.',
        tags,
        security: changeSecurity,
        body: definitionBodySchema,
        querystring: definitionQuerySchema,
        response: { 200: changedExperimentSchema, 201: changedExperimentSchema, ...errorResponses(409) },
      },
    },
    async (request, reply) => {
      const author = {
        actor: getCaller(request).name,
        reason: request.query.reason ?? 'definition sent to the service',
      };
      const { expected_version: expectedVersion } = request.query;
      const options = expectedVersion === undefined ? {} : { expectedVersion: Number(expectedVersion) };
      return answerChange(await definitions.apply(request.body, author, options), request.body.key, reply);
    },
  );

  app.get<{ Querystring: { status?: Experiment['status']; unit_type?: string } }>(
    '/v1/experiments',
    {
      onRequest: onRead,
      schema: {
        summary: 'All experiments, every iteration',
        tags,
        security: readSecurity,
        querystring: experimentQuerySchema,
        response: {
          200: { type: 'object', properties: { experiments: { type: 'array', items: experimentSchema } } },
          ...errorResponses(),
        },
      },
    },
    async (request) => {
      const { status, unit_type: unitType } = request.query;
      const experiments = await definitions.list({
        ...(status === undefined ? {} : { status }),
        ...(unitType === undefined ? {} : { unitType }),
      });
      return { experiments: experiments.map(toDefinitionDocument) };
    },
  );

  app.get<{ Params: Params }>(
    '/v1/experiments/:key',
    {
      onRequest: onRead,
      schema: {
        summary: 'The current iteration of an experiment, or the one with this id',
        tags,
        security: readSecurity,
        params: experimentParamsSchema,
        response: { 200: experimentSchema, ...errorResponses(404) },
      },
    },
    async (request) => {
      const { key } = request.params;
      const current = selectCurrentIteration(await definitions.listIterations(key));
      if (current === null) throw createUnknownError(key);
      return toDefinitionDocument(current);
    },
  );

  app.post<{ Params: Params; Body: { coverage: number; expected_version: number; reason: string } }>(
    '/v1/experiments/:key/coverage',
    {
      onRequest: onChange,
      schema: {
        summary: 'Set the coverage',
        description: 'While the experiment runs, coverage only grows: nobody who is in leaves or changes variant.',
        tags,
        security: changeSecurity,
        params: experimentParamsSchema,
        body: coverageChangeSchema,
        response: { 200: changedExperimentSchema, ...errorResponses(404, 409) },
      },
    },
    async (request, reply) => {
      const { coverage, expected_version: expectedVersion, reason } = request.body;
      const author = { actor: getCaller(request).name, reason };
      const keyOrId = request.params.key;
      return answerChange(
        await definitions.changeCoverage({ keyOrId, expectedVersion, author, coverage }),
        keyOrId,
        reply,
      );
    },
  );

  app.post<{ Params: Params; Body: Transition }>(
    '/v1/experiments/:key/transitions',
    {
      onRequest: onChange,
      schema: {
        summary: 'Start, pause, resume, complete or archive',
        tags,
        security: changeSecurity,
        params: experimentParamsSchema,
        body: transitionSchema,
        response: { 200: changedExperimentSchema, ...errorResponses(404, 409) },
      },
    },
    async (request, reply) => {
      const { expected_version: expectedVersion, reason } = request.body;
      const keyOrId = request.params.key;
      const result = await definitions.runCommand({
        keyOrId,
        expectedVersion,
        author: { actor: getCaller(request).name, reason },
        field: 'to',
        commandFor: (current) => commandForTransition(current, request.body),
      });
      return answerChange(result, keyOrId, reply);
    },
  );

  app.post<{ Params: Params; Body: ServingChange }>(
    '/v1/experiments/:key/serving',
    {
      onRequest: onChange,
      schema: {
        summary: 'Deliver as assigned, one variant to all, or nothing',
        description: 'Changes what is delivered; stored assignments stay as they are.',
        tags,
        security: changeSecurity,
        params: experimentParamsSchema,
        body: servingChangeSchema,
        response: { 200: changedExperimentSchema, ...errorResponses(404, 409) },
      },
    },
    async (request, reply) => {
      const { expected_version: expectedVersion, reason } = request.body;
      const keyOrId = request.params.key;
      const result = await definitions.runCommand({
        keyOrId,
        expectedVersion,
        author: { actor: getCaller(request).name, reason },
        field: 'mode',
        commandFor: (current) => commandForServing(current, request.body),
      });
      return answerChange(result, keyOrId, reply);
    },
  );
}
