// The JSON form of a stored definition: in API answers, in exp.experiment_versions and on exp.definitions.v1.
import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import type { Experiment, Serving } from '#domain/experiment/experiment.ts';
import {
  asExperimentId,
  asExperimentKey,
  asHoldoutId,
  asLayerId,
  asUnitType,
  asVariantId,
  type VariantId,
} from '#domain/experiment/ids.ts';

export type DefinitionDocument = ReturnType<typeof toDefinitionDocument>;

/** Shares are decimals (0..1) as in definition files; variants are named and identified. */
export function toDefinitionDocument(experiment: Experiment) {
  const nameOf = new Map<string, string>(experiment.variants.map(({ variantId, name }) => [variantId, name]));
  const { serving, layer, holdout } = experiment;
  return {
    experiment_id: experiment.experimentId as string,
    key: experiment.experimentKey as string,
    iteration: experiment.iteration,
    version: experiment.version,
    name: experiment.name,
    status: experiment.status,
    serving: {
      mode: serving.mode,
      ...(serving.mode === 'all_to' ? { variant_id: serving.variantId as string } : {}),
    },
    unit_type: experiment.unitType as string,
    coverage: experiment.coverage / FULL_SHARE,
    exposure: experiment.exposure,
    hypothesis: experiment.hypothesis,
    owner: experiment.owner,
    starts_at: experiment.startsAt,
    ends_at: experiment.endsAt,
    targeting: experiment.targeting,
    layer: layer && { id: layer.layerId as string, start: layer.start / FULL_SHARE, end: layer.end / FULL_SHARE },
    holdout: holdout && { id: holdout.holdoutId as string, share: holdout.share / FULL_SHARE },
    forced_variants: Object.fromEntries(
      Object.entries(experiment.forcedVariants).map(([unitId, variantId]) => [
        unitId,
        nameOf.get(variantId) ?? variantId,
      ]),
    ),
    metrics: experiment.metrics,
    analysis: experiment.analysis,
    ramp: experiment.ramp,
    store_required: experiment.storeRequired,
    variants: experiment.variants.map((variant) => ({
      variant_id: variant.variantId as string,
      name: variant.name,
      allocation: variant.allocation / FULL_SHARE,
      is_control: variant.isControl,
      config: variant.config,
    })),
  };
}

const toBasisPoints = (share: number): number => Math.round(share * FULL_SHARE);

/** The definition that a document was made from: `fromDefinitionDocument(toDefinitionDocument(x))` equals x. */
export function fromDefinitionDocument(document: DefinitionDocument): Experiment {
  const idOf = new Map(document.variants.map(({ name, variant_id }) => [name, variant_id]));
  const { serving, layer, holdout } = document;
  return {
    experimentId: asExperimentId(document.experiment_id),
    experimentKey: asExperimentKey(document.key),
    iteration: document.iteration,
    version: document.version,
    name: document.name,
    status: document.status,
    serving: (serving.mode === 'all_to'
      ? { mode: serving.mode, variantId: asVariantId(serving.variant_id ?? '') }
      : { mode: serving.mode }) as Serving,
    unitType: asUnitType(document.unit_type),
    coverage: toBasisPoints(document.coverage),
    exposure: document.exposure,
    hypothesis: document.hypothesis,
    owner: document.owner,
    startsAt: document.starts_at,
    endsAt: document.ends_at,
    targeting: document.targeting,
    layer: layer && {
      layerId: asLayerId(layer.id),
      start: toBasisPoints(layer.start),
      end: toBasisPoints(layer.end),
    },
    holdout: holdout && { holdoutId: asHoldoutId(holdout.id), share: toBasisPoints(holdout.share) },
    forcedVariants: Object.fromEntries(
      Object.entries(document.forced_variants).map(([unitId, name]) => [unitId, (idOf.get(name) ?? name) as VariantId]),
    ),
    metrics: document.metrics,
    // Documents of earlier releases, on the topic, have none.
    analysis: document.analysis ?? {},
    ramp: document.ramp,
    storeRequired: document.store_required,
    variants: document.variants.map((variant) => ({
      variantId: asVariantId(variant.variant_id),
      name: variant.name,
      allocation: toBasisPoints(variant.allocation),
      isControl: variant.is_control,
      config: variant.config,
    })),
  };
}
