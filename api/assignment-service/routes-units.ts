// Units over HTTP: what is stored about one, linking its two identities, erasing it.
import { type Static, Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { type ApiKeyStore, getCaller, requireScope } from '#api/authentication.ts';
import { oneOfTexts } from '#domain/definitions/definition-body.ts';
import type { DefinitionIndex } from '#producers/definition-store/live-definitions.ts';
import type { EraseUnit } from './erasure-unit.ts';
import type { LinkUnits } from './identity-link.ts';
import { RequestError } from './request-error.ts';
import type { ExperimentChange, UnitReader } from './unit-assignments.ts';
import { errorResponses, nullableText, unitIdSchema, unitTypeSchema } from './wire-schemas.ts';

export type UnitRoutesDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  units: UnitReader;
  linkUnits: LinkUnits;
  eraseUnit: EraseUnit;
  currentDefinitions: () => DefinitionIndex;
  /** There are new rows in the outbox. */
  onStored: () => void;
};

const closed = { additionalProperties: false } as const;
const unitSchema = Type.Object({ unit_type: unitTypeSchema, unit_id: unitIdSchema }, closed);
type Unit = Static<typeof unitSchema>;

const linkRequestSchema = Type.Object(
  {
    unit_type: unitTypeSchema,
    anonymous_unit_id: Type.String({ ...unitIdSchema, description: 'The id before login', examples: ['visitor-7'] }),
    unit_id: Type.String({ ...unitIdSchema, description: 'The id of the logged-in unit' }),
  },
  closed,
);

const changeSchema = Type.Object({
  version: Type.Integer(),
  changed_at: Type.String(),
  reason: Type.String(),
  diff: Type.Unsafe<unknown>({}),
});

const unitResponseSchema = Type.Object({
  unit_type: Type.String(),
  unit_id: Type.String(),
  assignments: Type.Array(
    Type.Object({
      experiment_id: Type.String(),
      experiment_key: Type.String(),
      iteration: Type.Integer(),
      is_current_iteration: Type.Boolean(),
      status: Type.String({ description: 'Of the experiment, now' }),
      serving: Type.String({ description: 'Of the experiment, now' }),
      variant_id: Type.String({ description: 'What is stored, which never changes' }),
      variant_name: Type.String(),
      hash_bucket: Type.Integer(),
      experiment_version: Type.Integer({ description: 'Version of the definition at assignment' }),
      probability: Type.Number(),
      enrolment_share: Type.Number(),
      source: oneOfTexts(['hashed', 'forced', 'imported', 'inherited']),
      assigned_at: Type.String(),
      changes_since: Type.Array(changeSchema, { description: 'Changes of the experiment since then, oldest first' }),
    }),
    { description: 'Of every iteration, the latest first' },
  ),
  links: Type.Array(
    Type.Object({ unit_id: Type.String(), anonymous_unit_id: Type.String(), linked_at: Type.String() }),
  ),
});

const linkResponseSchema = Type.Object({
  unit_type: Type.String(),
  anonymous_unit_id: Type.String(),
  unit_id: Type.String(),
  conflicts: Type.Integer({ description: 'Experiments whose results leave both ids out' }),
  assignments: Type.Array(
    Type.Object({
      experiment_id: Type.String(),
      experiment_key: Type.String(),
      outcome: oneOfTexts(
        ['inherited', 'same', 'conflict'],
        'inherited: the logged-in unit has the row of the anonymous one now; conflict: both had rows with other variants, which stay, or the logged-in unit is in another experiment of the layer',
      ),
      variant_id: nullableText('Of the logged-in unit; null when it is in another experiment of the same layer'),
      anonymous_variant_id: Type.String(),
    }),
  ),
});

const eraseResponseSchema = Type.Object({
  pseudonym: Type.String(),
  assignments: Type.Integer(),
  events: Type.Integer(),
  domain_rows: Type.Integer(),
  linked_unit_ids: Type.Array(Type.String(), { description: 'Other ids of the unit; they are not erased with it' }),
  named_in_experiments: Type.Array(Type.String(), {
    description: 'Experiments whose definition names the unit as a test unit: edit them',
  }),
});

const toWireChange = ({ version, changed_at, reason, diff }: ExperimentChange) => ({
  version,
  changed_at: changed_at.toISOString(),
  reason,
  diff,
});

export async function unitRoutes(app: FastifyInstance, deps: UnitRoutesDeps): Promise<void> {
  const tags = ['units'];

  app.get<{ Params: Unit }>(
    '/v1/units/:unit_type/:unit_id/assignments',
    {
      onRequest: requireScope(deps.keys, 'read', 'admin'),
      schema: {
        summary: 'What is stored about a unit',
        description: 'Reads and never enrolls. Percent-encode the id.',
        tags,
        security: [{ apiKey: ['read'] }, { apiKey: ['admin'] }],
        params: unitSchema,
        response: { 200: unitResponseSchema, ...errorResponses(404) },
      },
    },
    async (request) => {
      const { unit_type: unitType, unit_id: unitId } = request.params;
      const [assignments, links] = await Promise.all([
        deps.units.listAssignments(unitType, unitId),
        deps.units.listLinks(unitType, unitId),
      ]);
      const changes = Map.groupBy(await deps.units.listChangesSince(assignments), ({ experiment_id: id }) => id);
      const { byKey } = deps.currentDefinitions();
      return {
        unit_type: unitType,
        unit_id: unitId,
        assignments: assignments.map((row) => ({
          ...row,
          assigned_at: row.assigned_at.toISOString(),
          is_current_iteration: byKey.get(row.experiment_key)?.experiment.experimentId === row.experiment_id,
          changes_since: (changes.get(row.experiment_id) ?? []).map(toWireChange),
        })),
        links: links.map((link) => ({ ...link, linked_at: link.linked_at.toISOString() })),
      };
    },
  );

  app.post<{ Body: Static<typeof linkRequestSchema> }>(
    '/v1/units/link',
    {
      onRequest: requireScope(deps.keys, 'assign'),
      schema: {
        summary: 'A unit has logged in',
        description:
          "The logged-in unit's stored rows win; where it has none it inherits that of the anonymous unit. Call it at every login.",
        tags,
        security: [{ apiKey: ['assign'] }],
        body: linkRequestSchema,
        response: { 200: linkResponseSchema, ...errorResponses() },
      },
    },
    async (request) => {
      const { unit_type: unitType, anonymous_unit_id: anonymousUnitId, unit_id: unitId } = request.body;
      if (anonymousUnitId === unitId) {
        throw new RequestError(400, {
          code: 'invalid-request',
          field: 'anonymous_unit_id',
          message: 'must be another id than unit_id',
        });
      }
      const linked = await deps.linkUnits({ unitType, anonymousUnitId, unitId }, getCaller(request).name);
      if (linked.some(({ outcome }) => outcome === 'inherited')) deps.onStored();
      return {
        ...request.body,
        conflicts: linked.filter(({ outcome }) => outcome === 'conflict').length,
        assignments: linked.map((entry) => ({
          experiment_id: entry.experimentId,
          experiment_key: entry.experimentKey,
          outcome: entry.outcome,
          variant_id: entry.variantId,
          anonymous_variant_id: entry.anonymousVariantId,
        })),
      };
    },
  );

  app.post<{ Body: Unit }>(
    '/v1/units/erase',
    {
      onRequest: requireScope(deps.keys, 'admin'),
      schema: {
        summary: 'Erase a unit',
        description:
          'Removes its assignments and domain data and puts a pseudonym in place of its id in events and per-unit results, now and when its events come again. Archive objects are rewritten by compaction; Kafka forgets by retention. A unit that returns is assigned as new.',
        tags,
        security: [{ apiKey: ['admin'] }],
        body: unitSchema,
        response: { 200: eraseResponseSchema, ...errorResponses() },
      },
    },
    async (request) => {
      const { unit_type: unitType, unit_id: unitId } = request.body;
      const report = await deps.eraseUnit({ unitType, unitId }, getCaller(request).name);
      deps.onStored();
      return report;
    },
  );
}
