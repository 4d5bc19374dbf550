// The form in which definitions are sent to clients that evaluate for themselves, and its reading on the other side.
//
// Shares and ranges are whole basis points and buckets, so that no language has to round. The names of experiments, owners and
// hypotheses stay with the service.

import type { Condition, JsonObject } from '#domain/targeting/condition.ts';
import type { ExperimentStatus, ServedExperiment, Serving } from './experiment.ts';
import type { ExperimentId, ExperimentKey, HoldoutId, LayerId, UnitType, VariantId } from './ids.ts';

export type ClientDefinition = {
  readonly experiment_id: string;
  readonly key: string;
  readonly iteration: number;
  readonly version: number;
  readonly status: ExperimentStatus;
  readonly serving: { readonly mode: Serving['mode']; readonly variant_id?: string };
  readonly unit_type: string;
  /** True when only the service may assign: then coverage and allocations are left out. */
  readonly store_required: boolean;
  readonly coverage_basis_points?: number;
  readonly variants: readonly {
    readonly variant_id: string;
    readonly name: string;
    readonly is_control: boolean;
    readonly allocation_basis_points?: number;
    readonly config: JsonObject;
  }[];
  readonly targeting: Condition | null;
  /** The half-open range of the layer's buckets. */
  readonly layer: { readonly id: string; readonly start: number; readonly end: number } | null;
  readonly holdout: { readonly id: string; readonly share_basis_points: number } | null;
  /** Variant id by the id of a test unit. */
  readonly forced_variants: { readonly [unitId: string]: string };
  readonly starts_at: string | null;
  readonly ends_at: string | null;
};

const toInstant = (time: string | null): string | null => time && new Date(time).toISOString();

/** What a client is sent of a definition: the same text for the same definition on every instance. */
export function toClientDefinition(experiment: ServedExperiment): ClientDefinition {
  const { serving, layer, holdout, storeRequired } = experiment;
  return {
    experiment_id: experiment.experimentId,
    key: experiment.experimentKey,
    iteration: experiment.iteration,
    version: experiment.version,
    status: experiment.status,
    serving: serving.mode === 'all_to' ? { mode: serving.mode, variant_id: serving.variantId } : { mode: serving.mode },
    unit_type: experiment.unitType,
    store_required: storeRequired,
    ...(storeRequired ? {} : { coverage_basis_points: experiment.coverage }),
    variants: experiment.variants.map(({ variantId, name, isControl, allocation, config }) => ({
      variant_id: variantId,
      name,
      is_control: isControl,
      ...(storeRequired ? {} : { allocation_basis_points: allocation }),
      config,
    })),
    targeting: experiment.targeting,
    layer: layer && { id: layer.layerId, start: layer.start, end: layer.end },
    holdout: holdout && { id: holdout.holdoutId, share_basis_points: holdout.share },
    forced_variants: experiment.forcedVariants,
    starts_at: toInstant(experiment.startsAt),
    ends_at: toInstant(experiment.endsAt),
  };
}

/** The definition as evaluation reads it. Without ranges nobody is enrolled by hash. */
export function fromClientDefinition(definition: ClientDefinition): ServedExperiment {
  const { serving, layer, holdout } = definition;
  return {
    experimentId: definition.experiment_id as ExperimentId,
    experimentKey: definition.key as ExperimentKey,
    iteration: definition.iteration,
    version: definition.version,
    status: definition.status,
    serving: { mode: serving.mode, variantId: serving.variant_id } as Serving,
    unitType: definition.unit_type as UnitType,
    coverage: definition.coverage_basis_points ?? 0,
    variants: definition.variants.map((variant) => ({
      variantId: variant.variant_id as VariantId,
      name: variant.name,
      allocation: variant.allocation_basis_points ?? 0,
      isControl: variant.is_control,
      config: variant.config,
    })),
    targeting: definition.targeting,
    layer: layer && { layerId: layer.id as LayerId, start: layer.start, end: layer.end },
    holdout: holdout && { holdoutId: holdout.id as HoldoutId, share: holdout.share_basis_points },
    forcedVariants: definition.forced_variants as { readonly [unitId: string]: VariantId },
    startsAt: definition.starts_at,
    endsAt: definition.ends_at,
    storeRequired: definition.store_required,
  };
}
