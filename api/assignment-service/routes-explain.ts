// GET /v1/experiments/{key}/explain: every check behind the answer for one unit, without enrolling it.
import { type Static, Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { type ApiKeyStore, requireScope } from '#api/authentication.ts';
import { isDeeperThan, maxBodyDepth } from '#api/request-limits.ts';
import type { StoredAssignment } from '#domain/experiment/evaluate.ts';
import { type Explanation, explain } from '#domain/experiment/explain.ts';
import { asUnitId, asUnitType, asVariantId } from '#domain/experiment/ids.ts';
import type { DefinitionIndex, LiveExperiment } from '#producers/definition-store/live-definitions.ts';
import { findExperiment } from './assign-unit.ts';
import { keepsOutOfLayer, listLayerMates } from './layer-mates.ts';
import { RequestError } from './request-error.ts';
import { describeDecision } from './routes-explain-why.ts';
import type { UnitAssignment, UnitReader } from './unit-assignments.ts';
import { errorResponses, experimentParamsSchema, unitIdSchema, unitTypeSchema } from './wire-schemas.ts';

export type ExplainRoutesDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  units: Pick<UnitReader, 'findAssignment' | 'listAssignments'>;
  currentDefinitions: () => DefinitionIndex;
  lookAgain: () => Promise<void>;
  nowMs: () => number;
};

const querySchema = Type.Object(
  {
    unit_id: unitIdSchema,
    unit_type: Type.Optional(unitTypeSchema),
    context: Type.Optional(
      Type.String({
        maxLength: 8_192,
        description: 'Attributes for targeting, as JSON text',
        examples: ['{"country":"DE"}'],
      }),
    ),
  },
  { additionalProperties: false },
);
type Query = Static<typeof querySchema>;

const nullable = (type: 'string' | 'object' | 'boolean') =>
  Type.Unsafe<unknown>({ type: [type, 'null'], additionalProperties: true });

const explanationSchema = Type.Object({
  experiment_id: Type.String(),
  experiment_key: Type.String(),
  iteration: Type.Integer(),
  experiment_version: Type.Integer(),
  status: Type.String(),
  serving: Type.Object({ mode: Type.String(), variant_id: Type.Optional(Type.String()) }),
  unit_type: Type.String(),
  unit_id: Type.String(),
  bucket: Type.Integer({ description: '0..9999' }),
  coverage: Type.Number({ description: '0..1' }),
  ranges: Type.Array(
    Type.Object({
      variant_id: Type.String(),
      variant_name: Type.String(),
      start: Type.Integer({ description: 'Inclusive' }),
      end: Type.Integer({ description: 'Exclusive, at the present coverage' }),
      full_end: Type.Integer({ description: 'Exclusive, at full coverage' }),
    }),
  ),
  by_hash: Type.Object({ variant_id: nullable('string'), reason: Type.String() }),
  enrolment_closed: nullable('string'),
  targeting: nullable('object'),
  layer: nullable('object'),
  holdout: nullable('object'),
  forced_variant_id: nullable('string'),
  stored: nullable('object'),
  answer: Type.Object({
    variant_id: nullable('string'),
    variant_name: nullable('string'),
    assigned_variant_id: nullable('string'),
    reason: Type.String(),
    would_store: Type.Boolean({ description: 'Whether asking for the assignment now would store it' }),
  }),
  why: Type.Array(Type.String(), { description: 'The same in sentences, in the order in which it was decided' }),
});

const invalidContext = (message: string): RequestError =>
  new RequestError(400, { code: 'invalid-request', field: 'context', message });

function parseContext(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidContext('must be JSON text');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalidContext('must be a JSON object');
  if (isDeeperThan(value, maxBodyDepth)) throw invalidContext(`must not nest deeper than ${maxBodyDepth} levels`);
  return value as Record<string, unknown>;
}

function toStored(row: UnitAssignment | null): StoredAssignment | null {
  if (row === null) return null;
  return {
    variantId: asVariantId(row.variant_id),
    bucket: row.hash_bucket,
    probability: row.probability,
    enrolmentShare: row.enrolment_share,
    source: row.source,
  };
}

function toWireExplanation(
  { experiment, compiled }: LiveExperiment,
  unit: { unitId: string; unitType: string; context: Record<string, unknown> },
  explanation: Explanation,
  { stored, mate }: { stored: UnitAssignment | null; mate: UnitAssignment | null },
) {
  const { evaluation, byHash, layer, holdout, isTargeted } = explanation;
  const nameOf = (variantId: string | null): string | null =>
    variantId === null ? null : (compiled.variants.get(asVariantId(variantId))?.name ?? null);
  const { serving } = experiment;
  return {
    experiment_id: experiment.experimentId,
    experiment_key: experiment.experimentKey,
    iteration: experiment.iteration,
    experiment_version: experiment.version,
    status: experiment.status,
    serving: { mode: serving.mode, ...(serving.mode === 'all_to' ? { variant_id: serving.variantId } : {}) },
    unit_type: unit.unitType,
    unit_id: unit.unitId,
    bucket: explanation.bucket,
    coverage: experiment.coverage / 10_000,
    ranges: explanation.ranges.map((range) => ({
      variant_id: range.variantId,
      variant_name: nameOf(range.variantId) ?? '',
      start: range.start,
      end: range.end,
      full_end: range.fullEnd,
    })),
    by_hash:
      byHash.kind === 'assigned'
        ? { variant_id: byHash.variantId, reason: 'assigned' }
        : { variant_id: null, reason: byHash.reason },
    enrolment_closed: explanation.enrolmentClosed,
    targeting:
      isTargeted === null ? null : { condition: experiment.targeting, context: unit.context, is_targeted: isTargeted },
    layer: layer && {
      layer_id: layer.layerId,
      bucket: layer.bucket,
      start: experiment.layer?.start,
      end: experiment.layer?.end,
      is_in_range: layer.isInRange,
      stored_in: mate?.experiment_key ?? null,
    },
    holdout: holdout && { holdout_id: holdout.holdoutId, bucket: holdout.bucket, is_held_out: holdout.isHeldOut },
    forced_variant_id: explanation.forcedVariantId,
    stored: stored && { ...stored, assigned_at: stored.assigned_at.toISOString() },
    answer: {
      variant_id: evaluation.servedVariantId,
      variant_name: nameOf(evaluation.servedVariantId),
      assigned_variant_id: evaluation.assignment?.variantId ?? null,
      reason: evaluation.reason,
      would_store: evaluation.isNew,
    },
    why: describeDecision({
      explanation,
      unitType: unit.unitType,
      experimentUnitType: experiment.unitType,
      servingMode: serving.mode,
      storedVariantName: nameOf(stored?.variant_id ?? null),
      storedSource: stored?.source ?? null,
      layerMateKey: mate?.experiment_key ?? null,
      nameOf,
    }),
  };
}

/** The unit's row in another experiment of the same layer, which keeps it out of this one. */
async function findLayerMate(
  deps: Pick<ExplainRoutesDeps, 'units' | 'currentDefinitions'>,
  live: LiveExperiment,
  unitType: string,
  unitId: string,
): Promise<UnitAssignment | null> {
  const mates = new Set<string>(
    listLayerMates(deps.currentDefinitions(), live).map(({ experiment }) => experiment.experimentId),
  );
  if (mates.size === 0) return null;
  const rows = await deps.units.listAssignments(unitType, unitId);
  return rows.find((row) => mates.has(row.experiment_id) && keepsOutOfLayer(row)) ?? null;
}

export async function explainRoutes(app: FastifyInstance, deps: ExplainRoutesDeps): Promise<void> {
  app.get<{ Params: { key: string }; Querystring: Query }>(
    '/v1/experiments/:key/explain',
    {
      onRequest: requireScope(deps.keys, 'read', 'admin'),
      schema: {
        summary: 'Why a unit gets what it gets',
        description: 'Asks without enrolling. Targeting is judged with the given context.',
        tags: ['experiments'],
        security: [{ apiKey: ['read'] }, { apiKey: ['admin'] }],
        params: experimentParamsSchema,
        querystring: querySchema,
        response: { 200: explanationSchema, ...errorResponses(404) },
      },
    },
    async (request) => {
      const { key } = request.params;
      const context = parseContext(request.query.context);
      let live = findExperiment(deps.currentDefinitions(), key);
      if (live === undefined) {
        await deps.lookAgain();
        live = findExperiment(deps.currentDefinitions(), key);
      }
      if (live === undefined) {
        throw new RequestError(404, {
          code: 'unknown-experiment',
          field: 'key',
          message: `there is no experiment ${key}`,
        });
      }
      const unitId = request.query.unit_id;
      const unitType = request.query.unit_type ?? live.experiment.unitType;
      const stored = await deps.units.findAssignment(live.experiment.experimentId, unitId);
      const mate = stored === null ? await findLayerMate(deps, live, unitType, unitId) : null;
      const explanation = explain(live.compiled, {
        unitType: asUnitType(unitType),
        unitId: asUnitId(unitId),
        context,
        stored: toStored(stored),
        isInLayerMate: mate !== null,
        nowMs: deps.nowMs(),
      });
      return toWireExplanation(live, { unitId, unitType, context }, explanation, { stored, mate });
    },
  );
}
