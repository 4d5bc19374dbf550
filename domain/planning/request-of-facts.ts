// Makes a planning request from the rows that hold at its time and from what is asked for: serving and simulation use this one function.

import { buildPlanRequest, type CandidateConfig, drawCandidates, type SlotWish, toSlotId } from './build-request.ts';
import type { Catalogue } from './catalogue.ts';
import type { PlanRequest, RequestSlot } from './request-shape.ts';
import type { Random } from './seeded-random.ts';
import {
  type ConstraintRow,
  fromConstraintRow,
  fromHouseholdRow,
  fromPantryItemRow,
  type HouseholdRow,
  type PantryItemRow,
} from './temporal-rows.ts';

/** The rows of one household that hold at the time of the request. */
export type HouseholdFacts = {
  readonly household: HouseholdRow;
  readonly pantryItems: readonly PantryItemRow[];
  readonly constraints: readonly ConstraintRow[];
};

/** A slot to fill; its candidates are drawn where the caller offers none. */
export type WantedSlot = SlotWish & { readonly candidates?: readonly string[] };

export type PlanWish = Pick<PlanRequest, 'workflow_type' | 'mode' | 'requested_at' | 'previous_plan'> & {
  readonly slots: readonly WantedSlot[];
};

/** Deterministic for given rows, wish and stream of random numbers. */
export function requestOfFacts(
  wish: PlanWish,
  facts: HouseholdFacts,
  deps: { readonly catalogue: Catalogue; readonly random: Random; readonly config?: CandidateConfig },
): PlanRequest {
  const constraints = facts.constraints.map(fromConstraintRow);
  return buildPlanRequest({
    workflow_type: wish.workflow_type,
    mode: wish.mode,
    requested_at: wish.requested_at,
    household: fromHouseholdRow(facts.household),
    pantry: facts.pantryItems.map(fromPantryItemRow),
    constraints,
    slots: wish.slots.map(
      ({ candidates, ...slot }): RequestSlot =>
        candidates === undefined
          ? drawCandidates(slot, constraints, deps)
          : { slot_id: toSlotId(slot.date, slot.meal), ...slot, candidates: [...candidates] },
    ),
    previous_plan: wish.previous_plan,
  });
}
