// POST /v1/assignments and POST /v1/assignments/import.
import type { FastifyInstance } from 'fastify';
import { type ApiKeyStore, requireScope } from '#api/authentication.ts';
import type { AssignUnit } from './assign-unit.ts';
import {
  type AssignmentRequest,
  assignmentRequestSchema,
  assignmentResponseSchema,
  errorResponses,
  type ImportItem,
  type ImportResponse,
  importRequestSchema,
  importResponseSchema,
} from './wire-schemas.ts';

const importBodyBytes = 4 * 1024 * 1024;

export type AssignmentRoutesDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  assignUnit: AssignUnit;
  importAssignments: (items: readonly ImportItem[]) => Promise<ImportResponse>;
  /** There are new rows in the outbox. */
  onStored: () => void;
};

export async function assignmentRoutes(app: FastifyInstance, deps: AssignmentRoutesDeps): Promise<void> {
  app.post<{ Body: AssignmentRequest }>(
    '/v1/assignments',
    {
      onRequest: requireScope(deps.keys, 'assign'),
      schema: {
        summary: 'Variants of a unit',
        description: 'Stores the assignment of a unit that has none, and answers the stored one for ever after.',
        tags: ['assignments'],
        security: [{ apiKey: ['assign'] }],
        body: assignmentRequestSchema,
        response: { 200: assignmentResponseSchema, ...errorResponses() },
      },
    },
    (request) => deps.assignUnit(request.body),
  );

  app.post<{ Body: { assignments: ImportItem[] } }>(
    '/v1/assignments/import',
    {
      bodyLimit: importBodyBytes,
      onRequest: requireScope(deps.keys, 'admin'),
      schema: {
        summary: 'Record assignments made elsewhere',
        description: 'Imported assignments are immutable. 207 when some items could not be recorded; the others are.',
        tags: ['assignments'],
        security: [{ apiKey: ['admin'] }],
        body: importRequestSchema,
        response: { 200: importResponseSchema, 207: importResponseSchema, ...errorResponses() },
      },
    },
    async (request, reply) => {
      const result = await deps.importAssignments(request.body.assignments);
      if (result.imported > 0) deps.onStored();
      return reply.code(result.problems.length === 0 ? 200 : 207).send(result);
    },
  );
}
