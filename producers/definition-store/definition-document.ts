// The JSON form of a stored definition: in API answers, in exp.experiment_versions and on exp.definitions.v1.
import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';

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
