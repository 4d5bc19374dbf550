// Definitions in exp.experiments and exp.variants: reading them, and the mapping between rows and Experiment.
import type {
  Experiment,
  ExperimentAnalysis,
  ExperimentMetrics,
  Serving,
  Variant,
} from '#domain/experiment/experiment.ts';
import {
  asExperimentId,
  asExperimentKey,
  asHoldoutId,
  asLayerId,
  asUnitType,
  asVariantId,
  type VariantId,
} from '#domain/experiment/ids.ts';
import type { Condition, JsonObject } from '#domain/targeting/condition.ts';

/** A pool or a transaction. */
export type Connection = {
  query<Row extends object>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ rows: Row[]; rowCount: number | null }>;
};

export type StoredDefinition = { readonly experiment: Experiment; readonly updatedAtMs: number };

type VariantRow = { id: string; name: string; allocation: number; config: JsonObject; is_control: boolean };

type ExperimentRow = {
  id: string;
  key: string;
  name: string;
  iteration: number;
  version: number;
  status: Experiment['status'];
  serving: Serving['mode'];
  serving_variant_id: string | null;
  unit_type: string;
  coverage: number;
  exposure: Experiment['exposure'];
  hypothesis: string | null;
  owner: string | null;
  starts_at: Date | null;
  ends_at: Date | null;
  targeting: Condition | null;
  layer: { layer_id: string; start: number; end: number } | null;
  holdout: { holdout_id: string; share: number } | null;
  forced_variants: Record<string, string>;
  metrics: ExperimentMetrics;
  analysis: ExperimentAnalysis;
  ramp: JsonObject | null;
  store_required: boolean;
  updated_at: Date;
  variants: VariantRow[];
};

const selectExperiments = `SELECT x.id, x.key, x.name, x.iteration, x.version, x.status, x.serving, x.serving_variant_id, x.unit_type,
    x.coverage, x.exposure, x.hypothesis, x.owner, x.starts_at, x.ends_at, x.targeting, x.layer, x.holdout, x.forced_variants,
    x.metrics, x.analysis, x.ramp, x.store_required, x.updated_at,
    coalesce((SELECT jsonb_agg(jsonb_build_object('id', v.id, 'name', v.name, 'allocation', v.allocation, 'config', v.config,
        'is_control', v.is_control) ORDER BY v.position) FROM exp.variants v WHERE v.experiment_id = x.id), '[]') AS variants
  FROM exp.experiments x`;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function fromServingColumns(row: ExperimentRow): Serving {
  return row.serving === 'all_to'
    ? { mode: 'all_to', variantId: asVariantId(row.serving_variant_id ?? '') }
    : { mode: row.serving };
}

function fromExperimentRow(row: ExperimentRow): StoredDefinition {
  return {
    updatedAtMs: row.updated_at.getTime(),
    experiment: {
      experimentId: asExperimentId(row.id),
      experimentKey: asExperimentKey(row.key),
      iteration: row.iteration,
      version: row.version,
      status: row.status,
      serving: fromServingColumns(row),
      unitType: asUnitType(row.unit_type),
      coverage: row.coverage,
      variants: row.variants.map(
        (variant): Variant => ({
          variantId: asVariantId(variant.id),
          name: variant.name,
          allocation: variant.allocation,
          isControl: variant.is_control,
          config: variant.config,
        }),
      ),
      targeting: row.targeting,
      layer: row.layer && { layerId: asLayerId(row.layer.layer_id), start: row.layer.start, end: row.layer.end },
      holdout: row.holdout && { holdoutId: asHoldoutId(row.holdout.holdout_id), share: row.holdout.share },
      forcedVariants: row.forced_variants as Record<string, VariantId>,
      startsAt: row.starts_at?.toISOString() ?? null,
      endsAt: row.ends_at?.toISOString() ?? null,
      storeRequired: row.store_required,
      name: row.name,
      exposure: row.exposure,
      hypothesis: row.hypothesis,
      owner: row.owner,
      metrics: row.metrics,
      analysis: row.analysis,
      ramp: row.ramp,
    },
  };
}

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

/** Column values in the order of `experimentColumns`. */
export function toExperimentColumns(experiment: Experiment): unknown[] {
  const { serving, layer, holdout } = experiment;
  return [
    experiment.experimentId,
    experiment.experimentKey,
    experiment.iteration,
    experiment.name,
    experiment.version,
    experiment.status,
    serving.mode,
    serving.mode === 'all_to' ? serving.variantId : null,
    experiment.unitType,
    experiment.coverage,
    experiment.exposure,
    experiment.hypothesis,
    experiment.owner,
    experiment.startsAt,
    experiment.endsAt,
    json(experiment.targeting),
    json(layer && { layer_id: layer.layerId, start: layer.start, end: layer.end }),
    json(holdout && { holdout_id: holdout.holdoutId, share: holdout.share }),
    json(experiment.forcedVariants),
    json(experiment.metrics),
    json(experiment.analysis),
    json(experiment.ramp),
    experiment.storeRequired,
  ];
}

export const experimentColumns = [
  'id',
  'key',
  'iteration',
  'name',
  'version',
  'status',
  'serving',
  'serving_variant_id',
  'unit_type',
  'coverage',
  'exposure',
  'hypothesis',
  'owner',
  'starts_at',
  'ends_at',
  'targeting',
  'layer',
  'holdout',
  'forced_variants',
  'metrics',
  'analysis',
  'ramp',
  'store_required',
] as const;

/** All definitions, every iteration, by key and iteration. */
export async function listDefinitions(connection: Connection): Promise<StoredDefinition[]> {
  const { rows } = await connection.query<ExperimentRow>(`${selectExperiments} ORDER BY x.key, x.iteration`);
  return rows.map(fromExperimentRow);
}

/** The definitions with these ids; ids that do not exist are left out. */
export async function listDefinitionsById(connection: Connection, ids: readonly string[]): Promise<StoredDefinition[]> {
  const { rows } = await connection.query<ExperimentRow>(`${selectExperiments} WHERE x.id = ANY($1::uuid[])`, [ids]);
  return rows.map(fromExperimentRow);
}

/** Every iteration of the experiment with this key, or the one with this id, oldest first. */
export async function listIterations(connection: Connection, keyOrId: string): Promise<StoredDefinition[]> {
  const condition = uuid.test(keyOrId) ? 'x.id = $1::uuid' : 'x.key = $1';
  const { rows } = await connection.query<ExperimentRow>(
    `${selectExperiments} WHERE ${condition} ORDER BY x.iteration`,
    [keyOrId],
  );
  return rows.map(fromExperimentRow);
}

/**
 * The iteration that a bare key means: the latest one that was ever started, else the latest draft. So a draft of the next
 * iteration changes nothing until it starts.
 */
export function selectCurrentIteration(iterations: readonly Experiment[]): Experiment | null {
  return (
    iterations.findLast(({ status }) => status !== 'draft' && status !== 'archived') ??
    iterations.findLast(({ status }) => status === 'draft') ??
    iterations.at(-1) ??
    null
  );
}
