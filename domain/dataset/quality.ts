// The quality report of a split: what is known, what is missing, how the answers are spread, and what the targets break.

import type { Catalogue } from '#domain/planning/catalogue.ts';
import { checkPlan } from '#domain/planning/constraint-check.ts';
import type { Plan } from '#domain/planning/plan-shape.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import type { EnrichmentDifference } from './enrichment.ts';

export type QualityRow = {
  readonly householdId: string;
  readonly request: PlanRequest;
  readonly reaction: 'accepted' | 'edited' | null;
  readonly finalPlan: Plan | null;
  readonly editedSlots: readonly string[];
  readonly differences: readonly EnrichmentDifference[];
};

export type SplitQuality = {
  readonly household_count: number;
  readonly row_count: number;
  /** Rows whose reaction is known ÷ rows. Null without rows. */
  readonly answered_ratio: number | null;
  readonly reactions: { readonly accepted: number; readonly edited: number; readonly unknown: number };
  readonly slot_count: number;
  /** Slots whose final recipe is one of the candidates: what a model can learn from. */
  readonly target_count: number;
  /** Slots that the household changed. */
  readonly edited_slot_count: number;
  /** Rows by where the domain rows differ from the request. */
  readonly differences: Readonly<Record<string, number>>;
  /** Candidates that no recipe of that time has. */
  readonly unknown_candidate_count: number;
  /** Hard rules that final plans break, by kind. */
  readonly target_violations: Readonly<Record<string, number>>;
};

/** Collects the report; the order of the rows does not matter. */
export function createQualityTally(): { add(row: QualityRow, catalogue: Catalogue): void; report(): SplitQuality } {
  const households = new Set<string>();
  const reactions = { accepted: 0, edited: 0, unknown: 0 };
  const counts = { rows: 0, slots: 0, targets: 0, edited: 0, unknownCandidates: 0 };
  const differences = new Map<string, number>();
  const violations = new Map<string, number>();
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  const sorted = (map: Map<string, number>) => Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));

  return {
    add: ({ householdId, request, reaction, finalPlan, editedSlots, differences: found }, catalogue) => {
      households.add(householdId);
      counts.rows += 1;
      counts.slots += request.slots.length;
      reactions[reaction ?? 'unknown'] += 1;
      for (const path of new Set(found.map((difference) => difference.path))) count(differences, path);
      for (const slot of request.slots) {
        counts.unknownCandidates += slot.candidates.filter((id) => catalogue.findRecipe(id) === null).length;
      }
      if (finalPlan === null) return;
      const recipes = new Map(finalPlan.slots.map((slot) => [slot.slot_id, slot.recipe_id]));
      counts.targets += request.slots.filter((slot) =>
        slot.candidates.includes(recipes.get(slot.slot_id) ?? ''),
      ).length;
      counts.edited += editedSlots.length;
      for (const violation of checkPlan(finalPlan, request, catalogue).violations) {
        if (violation.severity === 'hard') count(violations, violation.kind);
      }
    },
    report: () => ({
      household_count: households.size,
      row_count: counts.rows,
      answered_ratio: counts.rows === 0 ? null : (reactions.accepted + reactions.edited) / counts.rows,
      reactions: { ...reactions },
      slot_count: counts.slots,
      target_count: counts.targets,
      edited_slot_count: counts.edited,
      differences: sorted(differences),
      unknown_candidate_count: counts.unknownCandidates,
      target_violations: sorted(violations),
    }),
  };
}
