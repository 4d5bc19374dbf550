// Pairs the events of a plan into the two sides of its training row; the result does not depend on the order of the events.
import type { GeneratedPlan, PlanEvent, PlanEventIdentity, PlanReaction } from './parse-plan-event.ts';

export type PairedPlan<G extends GeneratedPlan = GeneratedPlan, R extends PlanReaction = PlanReaction> = {
  readonly planId: string;
  /** The earliest plan_generated. */
  readonly generated: G | null;
  /** The latest reaction. */
  readonly reaction: R | null;
};

/** Order of plan events: by event time, then by event id in code unit order (for lower-case UUIDs that of Postgres too). */
export function comparePlanEvents(a: PlanEventIdentity, b: PlanEventIdentity): number {
  return a.eventTimeMs - b.eventTimeMs || (a.eventId < b.eventId ? -1 : a.eventId > b.eventId ? 1 : 0);
}

/** Two pairings of the same plan as one. Associative, commutative and idempotent for events with distinct identities. */
export function mergePairedPlans<G extends GeneratedPlan, R extends PlanReaction>(
  a: PairedPlan<G, R>,
  b: PairedPlan<G, R>,
): PairedPlan<G, R> {
  return {
    planId: a.planId,
    generated: choose(a.generated, b.generated, (order) => order <= 0),
    reaction: choose(a.reaction, b.reaction, (order) => order >= 0),
  };
}

/** One pairing per plan, in order of plan id. */
export function pairPlanEvents<G extends GeneratedPlan, R extends PlanReaction>(
  events: readonly (G | R)[],
): PairedPlan<G, R>[] {
  const byPlan = new Map<string, PairedPlan<G, R>>();
  for (const event of events) {
    const single: PairedPlan<G, R> = {
      planId: event.planId,
      generated: isGenerated(event) ? (event as G) : null,
      reaction: isGenerated(event) ? null : (event as R),
    };
    const known = byPlan.get(event.planId);
    byPlan.set(event.planId, known === undefined ? single : mergePairedPlans(known, single));
  }
  return [...byPlan.values()].sort((a, b) => (a.planId < b.planId ? -1 : a.planId > b.planId ? 1 : 0));
}

function isGenerated(event: PlanEvent): event is GeneratedPlan {
  return event.kind === 'generated';
}

function choose<T extends PlanEventIdentity>(a: T | null, b: T | null, prefersA: (order: number) => boolean): T | null {
  if (a === null || b === null) return a ?? b;
  return prefersA(comparePlanEvents(a, b)) ? a : b;
}
