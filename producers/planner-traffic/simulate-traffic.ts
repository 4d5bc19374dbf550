// Simulates the traffic of the meal planner: requests of households over days, plans, and the households' reactions, as events.

import { idOfName } from '#domain/assignment/deterministic-ids.ts';
import type { SlotWish } from '#domain/planning/build-request.ts';
import { serializePlanRequest, toCanonicalJson } from '#domain/planning/canonical-json.ts';
import { isWeekend } from '#domain/planning/constraint-check.ts';
import { constraintRespectScore, editDistanceScore, planAlignmentScore } from '#domain/planning/plan-scores.ts';
import type { Plan, PlanFeedbackPayload, PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import { toRequestContext } from '#domain/planning/request-context.ts';
import { requestOfFacts } from '#domain/planning/request-of-facts.ts';
import type { PlanRequest, PreviousPlan, WorkflowType } from '#domain/planning/request-shape.ts';
import { defaultPlannerConfig, planByRules } from '#domain/planning/rule-based-planner.ts';
import { createRandom, drawInteger, drawNormal, drawOne, type Random } from '#domain/planning/seeded-random.ts';
import { isValidAt } from '#domain/planning/temporal-rows.ts';
import type { AssignedVariant, EventBody } from '../workload-client/workload-port.ts';
import { type Reaction, reactTo } from './reaction.ts';
import { addDays, type SimulatedHousehold, type World, weekdayOf } from './world.ts';

/** What a variant changes, against a variant without an entry. */
export type VariantEffect = {
  /** Added to the probability that a plan is accepted. */
  readonly acceptance?: number;
  readonly latencyFactor?: number;
  readonly costFactor?: number;
  /** Share of the variant's households that never show up: breaks the split. */
  readonly lostShare?: number;
};

export type TrafficOptions = {
  readonly world: World;
  /** By variant name. */
  readonly effects: Readonly<Record<string, VariantEffect>>;
  /** The stored assignments of a household; none: it gets the default and is in no experiment. */
  readonly assign: (householdId: string) => readonly AssignedVariant[];
};

export const householdUnitType = 'household';
const plannerName = 'rule-based';
const replanShare = 0.08;

/** What a household goes by until its next plan. */
export type CurrentPlan = { readonly plan: PreviousPlan; readonly coveredDates: ReadonlySet<string> };

/**
 * Events of the whole run in order of time. Deterministic: equal options give equal events with equal ids; other
 * assignments or effects give other ids, so runs with different settings never contradict each other.
 */
export function* simulateTraffic(options: TrafficOptions): Generator<EventBody> {
  const { world } = options;
  const visitors = world.members
    .map((member) => ({ member, variants: options.assign(member.householdId) }))
    .filter(({ member, variants }) => !isLost(member, variants, options))
    .map(({ member, variants }) => ({ member, variants, current: null as CurrentPlan | null }));
  let pending: EventBody[] = [];
  for (let day = 0; day < world.days; day++) {
    const date = addDays(world.start, day);
    for (const visitor of visitors) {
      const asked = wishesOf(visitor.member, visitor.current, date, world);
      if (!asked) continue;
      const turn = simulateRequest(asked, visitor.member, visitor.variants, visitor.current, options);
      pending.push(...turn.events);
      visitor.current = turn.current;
    }
    pending.sort((a, b) => compare(a.timestamp, b.timestamp) || compare(a.event_id, b.event_id));
    // Reactions may come after midnight: they wait for the events of the next day.
    const nextDay = `${addDays(date, 1)}T00:00:00.000Z`;
    yield* pending.filter((event) => event.timestamp < nextDay);
    pending = pending.filter((event) => event.timestamp >= nextDay);
  }
  yield* pending;
}

/** What a household asks for on a day, with the stream of random numbers of that request. */
export type Asked = {
  readonly workflow: WorkflowType;
  readonly date: string;
  readonly wishes: SlotWish[];
  readonly random: Random;
};

/** Null on a day without a request. */
export function wishesOf(
  member: SimulatedHousehold,
  current: CurrentPlan | null,
  date: string,
  world: World,
): Asked | null {
  const random = createRandom(`request/${world.seed}/${world.start}/${member.index}/${date}`);
  const isPlanningDay = weekdayOf(date) === member.planningWeekday;
  if (isPlanningDay) {
    const dates = [1, 2, 3, 4, 5, 6, 7].map((ahead) => addDays(date, ahead));
    return { workflow: 'weekly_plan', date, wishes: dates.flatMap((d) => mealsOf(member, d, random)), random };
  }
  const tomorrow = addDays(date, 1);
  if (random() >= replanShare || !current?.coveredDates.has(tomorrow)) return null;
  return { workflow: 'replan_day', date, wishes: mealsOf(member, tomorrow, random), random };
}

function mealsOf(member: SimulatedHousehold, date: string, random: Random): SlotWish[] {
  const people = member.rows.household[0]?.members ?? 1;
  const servings = random() < 0.1 ? people + drawInteger(random, 1, 2) : people;
  const wishes: SlotWish[] = [];
  if (member.weekendBreakfasts && isWeekend(date)) wishes.push({ date, meal: 'breakfast', servings: people });
  if (member.dinnerWeekdays.has(weekdayOf(date))) wishes.push({ date, meal: 'dinner', servings });
  return wishes;
}

function simulateRequest(
  asked: Asked,
  member: SimulatedHousehold,
  variants: readonly AssignedVariant[],
  current: CurrentPlan | null,
  options: TrafficOptions,
): { events: EventBody[]; current: CurrentPlan } {
  const { catalogue, seed } = options.world;
  const { random } = asked;
  const requestedAtMs = drawRequestTime(asked);
  const request = requestAt(new Date(requestedAtMs).toISOString(), asked, member, current, options.world);
  const effects = variants.map((variant) => options.effects[variant.variant_name] ?? {});
  // Named after its content: whatever changes the plan or the reaction changes the ids of all its events.
  const planId = idOfName(
    `planner-traffic/plan/${toCanonicalJson([seed, serializePlanRequest(request), variants, effects])}`,
  );
  const planned = planByRules(request, { catalogue, random });
  const { latencyMs, costUsd } = drawOperation(request, effects, random);
  const reaction = reactTo(planned.plan, request, {
    catalogue,
    taste: member.taste,
    random,
    effect: effects.reduce((sum, effect) => sum + (effect.acceptance ?? 0), 0),
  });
  const payload: PlanGeneratedPayload = {
    plan_id: planId,
    request,
    plan: planned.plan,
    choices: [...planned.choices],
    policy: { name: plannerName, temperature: defaultPlannerConfig.temperature },
  };
  const toEvent = (event_type: string, atMs: number, content: Pick<EventBody, 'metrics' | 'payload'>): EventBody => ({
    event_id: idOfName(`planner-traffic/event/${planId}/${event_type}`),
    event_type,
    unit_type: householdUnitType,
    unit_id: member.householdId,
    experiments: variants.map(({ experiment_id, variant_id }) => ({ experiment_id, variant_id })),
    context: toRequestContext(request),
    ...content,
    timestamp: new Date(atMs).toISOString(),
  });
  const generatedAtMs = requestedAtMs + Math.max(1, Math.round(latencyMs));
  const events = [
    ...(variants.length > 0 ? [toEvent('exposure', requestedAtMs, { metrics: {} })] : []),
    toEvent('plan_generated', generatedAtMs, {
      metrics: {
        latency_ms: latencyMs,
        cost_usd: costUsd,
        validator_intervention: planned.interventions > 0 ? 1 : 0,
        plan_alignment_score: planAlignmentScore(planned.plan, request, catalogue),
        constraint_respect_score: constraintRespectScore(planned.plan, request, catalogue),
      },
      payload,
    }),
    ...toReactionEvents(reaction, planId, planned.plan, (type, content) =>
      toEvent(type, generatedAtMs + drawReactionDelayMs(random), content),
    ),
  ];
  const outcome = reaction.outcome;
  return { events, current: nextCurrent(asked, planId, outcome, planned.plan, reaction.finalPlan, current) };
}

/** Between seven in the morning and half past eight in the evening. */
export function drawRequestTime({ date, random }: Pick<Asked, 'date' | 'random'>): number {
  return Date.parse(`${date}T07:00:00Z`) + Math.floor(random() * 13.5 * 3_600_000);
}

export function drawMode(member: Pick<SimulatedHousehold, 'usualMode'>, random: Random): PlanRequest['mode'] {
  return random() < 0.8 ? member.usualMode : drawOne(random, ['standard', 'leftovers', 'savings'] as const);
}

/** Median 20 minutes, at most 6 hours: always before the household's next request. */
export function drawReactionDelayMs(random: Random): number {
  return 1000 * Math.min(21_600, Math.max(5, 1200 * Math.exp(drawNormal(random))));
}

export function toReactionEvents(
  reaction: Reaction,
  planId: string,
  plan: Plan,
  toEvent: (type: string, content: Pick<EventBody, 'metrics' | 'payload'>) => EventBody,
): EventBody[] {
  if (reaction.outcome === 'no_answer') return [];
  const payload: PlanFeedbackPayload = {
    plan_id: planId,
    final_plan: reaction.finalPlan,
    edited_slots: [...reaction.editedSlots],
  };
  const metrics = {
    accepted: reaction.outcome === 'accepted' ? 1 : 0,
    edits: reaction.editedSlots.length,
    edit_distance_score: editDistanceScore(plan, reaction.finalPlan),
  };
  return [toEvent(reaction.outcome === 'accepted' ? 'plan_accepted' : 'plan_edited', { metrics, payload })];
}

/** The request as serving would build it: the rows that hold at that time, through the one function that builds requests. */
export function requestAt(
  requestedAt: string,
  asked: Pick<Asked, 'workflow' | 'wishes' | 'random'>,
  member: SimulatedHousehold,
  current: CurrentPlan | null,
  world: World,
): PlanRequest {
  const holds = <R extends { valid_from: string; valid_to: string | null }>(rows: readonly R[]) =>
    rows.filter((row) => isValidAt(row, requestedAt));
  const [householdRow] = holds(member.rows.household);
  if (!householdRow) throw new Error(`household ${member.householdId} has no row for ${requestedAt}`);
  return requestOfFacts(
    {
      workflow_type: asked.workflow,
      mode: drawMode(member, asked.random),
      requested_at: requestedAt,
      slots: asked.wishes,
      previous_plan: current?.plan ?? null,
    },
    {
      household: householdRow,
      pantryItems: holds(member.rows.pantryItems),
      constraints: holds(member.rows.constraints),
    },
    { catalogue: world.catalogue, random: asked.random },
  );
}

/** A weekly plan takes the place of the one before; a day planned again replaces only its own slots. */
export function nextCurrent(
  asked: Asked,
  planId: string,
  outcome: Reaction['outcome'],
  plan: Plan,
  finalPlan: Plan,
  current: CurrentPlan | null,
): CurrentPlan {
  const planned = new Map(plan.slots.map((slot) => [slot.slot_id, slot.recipe_id]));
  const slots: PreviousPlan['slots'] = finalPlan.slots.map(({ slot_id, recipe_id }) => {
    const before = planned.get(slot_id) ?? null;
    return { slot_id, recipe_id, replaced_recipe_id: before === recipe_id ? null : before };
  });
  const now: PreviousPlan = { plan_id: planId, outcome, slots };
  const dates = new Set(asked.wishes.map((wish) => wish.date));
  if (asked.workflow === 'weekly_plan' || !current) return { plan: now, coveredDates: dates };
  const kept = current.plan.slots.filter((slot) => !dates.has(slot.slot_id.slice(0, 10)));
  return { plan: { ...now, slots: [...kept, ...slots] }, coveredDates: current.coveredDates };
}

/** Latency is log-normal around 900 ms, cost grows with the slots: stand-ins for a language model behind the planner. */
function drawOperation(request: PlanRequest, effects: readonly VariantEffect[], random: Random) {
  const latencyFactor = effects.reduce((product, effect) => product * (effect.latencyFactor ?? 1), 1);
  const costFactor = effects.reduce((product, effect) => product * (effect.costFactor ?? 1), 1);
  return {
    latencyMs: 900 * Math.exp(0.35 * drawNormal(random)) * latencyFactor,
    costUsd: 0.0004 * request.slots.length * Math.exp(0.15 * drawNormal(random)) * costFactor,
  };
}

function isLost(member: SimulatedHousehold, variants: readonly AssignedVariant[], options: TrafficOptions): boolean {
  const lostShare = Math.max(0, ...variants.map((variant) => options.effects[variant.variant_name]?.lostShare ?? 0));
  return lostShare > 0 && createRandom(`lost/${options.world.seed}/${member.index}`)() < lostShare;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
