// What the data say of a promotion: guardrails, the split of units, and the effects of the candidate, as results compute them.

import { describeGuardrail } from '#domain/results/format-results.ts';
import type { ExperimentResults } from '#domain/results/results.ts';
import { isComputed } from '#domain/statistics/result.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { LookEvidence } from '#producers/promotion-store/promotion-state.ts';
import { readResults } from '../results/read-results.ts';

/** Evidence from the results of an experiment with one treatment, the candidate. */
export function toLookEvidence({ metrics, sampleRatio, settings }: ExperimentResults): LookEvidence {
  const { anytime } = sampleRatio.exposed;
  const isMismatched = isComputed(anytime) && anytime.pValue < settings.sampleRatioAlpha;
  return {
    guardrails: metrics.flatMap(({ name, comparisons }) =>
      comparisons.flatMap(({ guardrail }) =>
        guardrail === null ? [] : [{ metric: name, ...describeGuardrail(guardrail) }],
      ),
    ),
    sampleRatio: isMismatched
      ? `units did not arrive in the planned proportions (sample ratio mismatch, p ${anytime.pValue.toPrecision(2)}): no result holds`
      : null,
    effects: metrics.map(({ name, definition, values, comparisons }) => {
      const effect = comparisons[0]?.effect;
      const valueIn = (index: number): number | null => {
        const value = values[index]?.value;
        return value !== undefined && isComputed(value) ? value.value : null;
      };
      return {
        metric: name,
        scale: definition.scale,
        control: valueIn(0),
        candidate: valueIn(1),
        ...(effect !== undefined && isComputed(effect)
          ? { estimate: effect.estimate, lower: effect.interval.lower, upper: effect.interval.upper }
          : { not_computable: effect?.detail ?? 'there is no comparison' }),
      };
    }),
  };
}

/** @throws Error when there is no such experiment. */
export async function readLookEvidence(pool: Pool, experimentId: string): Promise<LookEvidence> {
  const results = await readResults(pool, experimentId);
  if (results === null) throw new Error(`there is no experiment ${experimentId}`);
  return toLookEvidence(results);
}
