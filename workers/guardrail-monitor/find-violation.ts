// Looks at the guardrails of one experiment: per-unit, anytime-valid tests that share the alpha of the experiment.
import { inSnapshot, loadExperiment } from '#analytics/results/read-results.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { analyzeExperiment, type LoadedExperiment } from '#domain/results/analyze-experiment.ts';
import { describeGuardrail, formatChange } from '#domain/results/format-results.ts';
import { isComputed } from '#domain/statistics/result.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { listDefinitionsById } from '#producers/definition-store/definition-rows.ts';

export type Violation = {
  /** The definition that the test was made for; acting on another version is refused. */
  readonly experiment: Experiment;
  readonly variantId: string;
  readonly variantName: string;
  readonly metric: string;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly summary: string;
};

/** The first broken guardrail in the order of the definition; null when none is. */
export function findBrokenGuardrail(loaded: LoadedExperiment): Violation | null {
  const results = analyzeExperiment(loaded);
  for (const { name, comparisons } of results.metrics) {
    for (const { guardrail, variantId, name: variantName } of comparisons) {
      if (guardrail === null || !isComputed(guardrail.evidence) || !guardrail.evidence.isBroken) continue;
      const { estimate, scale, interval, alpha, pValue } = guardrail.evidence;
      const units = results.units.byVariant.map(({ name: of, units: count }) => ({ variant: of, units: count }));
      return {
        experiment: loaded.experiment,
        variantId,
        variantName,
        metric: name,
        evidence: {
          scale,
          estimate,
          ...interval,
          alpha,
          pValue,
          bound: guardrail.bound,
          harmful: guardrail.harmful,
          units,
        },
        summary: `${name} of ${variantName} is ${formatChange(estimate, scale)} against ${results.control.name}: ${describeGuardrail(guardrail).text}`,
      };
    }
  }
  return null;
}

/** Reads the experiment as it is now and judges its guardrails on the same state of the database; null when it is not watched any more. */
export async function findViolation(pool: Pool, experimentId: string): Promise<Violation | null> {
  return inSnapshot(pool, async (tx) => {
    const [stored] = await listDefinitionsById(tx, [experimentId]);
    if (stored === undefined || !isWatched(stored.experiment)) return null;
    const { experiment } = stored;
    const guarded: Experiment = {
      ...experiment,
      metrics: { guardrails: experiment.metrics.guardrails ?? [] },
      // Quick and valid without it: the covariate would only be sharper.
      analysis: { ...experiment.analysis, covariate_days: 0 },
    };
    return findBrokenGuardrail(await loadExperiment(tx, guarded, {}));
  });
}

/** Experiments that deliver as assigned and have guardrails; a paused one still delivers. */
export function isWatched({ status, serving, metrics, variants }: Experiment): boolean {
  const isLive = status === 'running' || status === 'paused';
  return isLive && serving.mode === 'as_assigned' && (metrics.guardrails?.length ?? 0) > 0 && variants.length > 1;
}
