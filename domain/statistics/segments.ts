// Tests that are looked at together, corrected, and whether the effects of segments differ from each other at all.
//
// Source of the heterogeneity test: Cochran 1954, "The combination of estimates from different experiments" (Q statistic).
import type { Effect } from './effect.ts';
import { type Adjustment, adjustPValues } from './multiple-testing.ts';
import { computed, isComputed, notComputable, type Outcome } from './result.ts';
import { chiSquareSurvival } from './special-functions.ts';

export type Corrected = { readonly adjustedPValue: number; readonly significant: boolean };

/** Corrects tests that are looked at together, such as those of all segments. Tests without a result do not count. */
export function correctTests<T extends { readonly pValue: number }>(
  tests: readonly Outcome<T>[],
  options: { readonly alpha: number; readonly correction: Adjustment },
): Outcome<T & Corrected>[] {
  const adjusted = adjustPValues(
    tests.filter(isComputed).map((test) => test.pValue),
    { method: options.correction, alpha: options.alpha },
  );
  let next = 0;
  return tests.map((test) => {
    if (!isComputed(test)) return test;
    const { pValue, rejected } = adjusted[next++]!;
    return { ...test, adjustedPValue: pValue, significant: rejected };
  });
}

export type Heterogeneity = { readonly statistic: number; readonly degreesOfFreedom: number; readonly pValue: number };

/** Whether independent effects differ by more than their standard errors explain: a small p-value says that they do. */
export function testHeterogeneity(effects: readonly Effect[]): Outcome<Heterogeneity> {
  if (effects.length < 2) return notComputable('too-few-units', 'heterogeneity needs effects of two segments');
  if (effects.some((effect) => !(effect.standardError > 0))) {
    return notComputable('zero-variance', 'an effect has no standard error');
  }
  const weights = effects.map((effect) => 1 / effect.standardError ** 2);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const pooled = effects.reduce((sum, effect, i) => sum + weights[i]! * effect.estimate, 0) / total;
  const statistic = effects.reduce((sum, effect, i) => sum + weights[i]! * (effect.estimate - pooled) ** 2, 0);
  const degreesOfFreedom = effects.length - 1;
  return computed({ statistic, degreesOfFreedom, pValue: chiSquareSurvival(statistic, degreesOfFreedom) });
}
