// Households that ask the planner service for their plans and answer what they really got, by their hidden tastes.

import { idOfName } from '#domain/assignment/deterministic-ids.ts';
import { toRequestContext } from '#domain/planning/request-context.ts';
import { type DeliveryCounts, deliverEvents } from '../workload-client/deliver.ts';
import type { AssignedVariant, EventBody, WorkloadPort } from '../workload-client/workload-port.ts';
import type { PlannerPort } from './planner-port.ts';
import { reactTo } from './reaction.ts';
import {
  type CurrentPlan,
  drawMode,
  drawReactionDelayMs,
  drawRequestTime,
  householdUnitType,
  nextCurrent,
  toReactionEvents,
  type VariantEffect,
  wishesOf,
} from './simulate-traffic.ts';
import { addDays, type SimulatedHousehold, type World } from './world.ts';

export type ServedTrafficOptions = {
  readonly world: World;
  /** Added to the acceptance of a variant's households, by variant name. */
  readonly effects: Readonly<Record<string, Pick<VariantEffect, 'acceptance'>>>;
  /** Part of every plan's id: the same run again asks for the same plans, and its events count once. */
  readonly run: string;
  /** Households that ask at once. */
  readonly concurrency: number;
  readonly onProgress?: (progress: { readonly step: 'plans' | 'events'; readonly done: number }) => void;
};

export type ServedTrafficResult = {
  /** Households by variant name; `none` took part in no experiment. */
  readonly householdsByVariant: Readonly<Record<string, number>>;
  readonly plans: {
    readonly total: number;
    /** By what made them: rule-based, or a model version. */
    readonly byPlanner: Readonly<Record<string, number>>;
    readonly byFallbackReason: Readonly<Record<string, number>>;
  };
  /** The reactions; the service sends the plans. */
  readonly events: DeliveryCounts;
};

type Visitor = {
  readonly member: SimulatedHousehold;
  current: CurrentPlan | null;
  variants: readonly AssignedVariant[] | null;
};

/** Day by day, because a request tells the plan before. Rejects with the first failure, after the requests under way have ended. */
export async function runServedTraffic(
  options: ServedTrafficOptions,
  ports: { readonly planner: PlannerPort; readonly workload: Pick<WorkloadPort, 'send'> },
): Promise<ServedTrafficResult> {
  const { world } = options;
  const visitors = world.members.map((member): Visitor => ({ member, current: null, variants: null }));
  const counts = { total: 0, byPlanner: new Map<string, number>(), byFallbackReason: new Map<string, number>() };
  const reactions: EventBody[] = [];
  for (let day = 0; day < world.days; day++) {
    const date = addDays(world.start, day);
    await forEachAtOnce(visitors, options.concurrency, async (visitor) => {
      const turn = await visit(visitor, date, options, ports.planner);
      if (turn === null) return;
      counts.total += 1;
      add(counts.byPlanner, turn.planner);
      if (turn.fallbackReason !== null) add(counts.byFallbackReason, turn.fallbackReason);
      reactions.push(...turn.events);
      options.onProgress?.({ step: 'plans', done: counts.total });
    });
  }
  const events = await deliverEvents(ports.workload, reactions, {
    batchSize: 100,
    batchesInFlight: 4,
    onProgress: ({ sent }) => options.onProgress?.({ step: 'events', done: sent }),
  });
  const byVariant = new Map<string, number>();
  for (const { variants } of visitors) {
    if (variants !== null) add(byVariant, variants.map(({ variant_name }) => variant_name).join('+') || 'none');
  }
  return {
    householdsByVariant: Object.fromEntries([...byVariant].sort()),
    plans: {
      total: counts.total,
      byPlanner: Object.fromEntries([...counts.byPlanner].sort()),
      byFallbackReason: Object.fromEntries([...counts.byFallbackReason].sort()),
    },
    events,
  };
}

async function visit(
  visitor: Visitor,
  date: string,
  { world, effects, run }: ServedTrafficOptions,
  planner: PlannerPort,
): Promise<{ planner: string; fallbackReason: string | null; events: EventBody[] } | null> {
  const { member, current } = visitor;
  const asked = wishesOf(member, current, date, world);
  if (asked === null || asked.wishes.length === 0) return null;
  const { random } = asked;
  const requestedAtMs = drawRequestTime(asked);
  const planId = idOfName(`planner-traffic/served/${run}/${world.seed}/${world.start}/${member.index}/${date}`);
  const answer = await planner.plan({
    household_id: member.householdId,
    plan_id: planId,
    request: {
      workflow_type: asked.workflow,
      mode: drawMode(member, random),
      requested_at: new Date(requestedAtMs).toISOString(),
      slots: asked.wishes,
      previous_plan: current?.plan ?? null,
    },
  });
  const { plan, request, experiments } = answer;
  visitor.variants = experiments;
  const reaction = reactTo(plan, request, {
    catalogue: world.catalogue,
    taste: member.taste,
    random,
    effect: experiments.reduce((sum, { variant_name }) => sum + (effects[variant_name]?.acceptance ?? 0), 0),
  });
  visitor.current = nextCurrent(asked, planId, reaction.outcome, plan, reaction.finalPlan, current);
  const reactedAtMs = requestedAtMs + Math.round(answer.latency_ms) + drawReactionDelayMs(random);
  const events = toReactionEvents(reaction, planId, plan, (event_type, content) => ({
    event_id: idOfName(`planner-traffic/event/${planId}/${event_type}`),
    event_type,
    unit_type: householdUnitType,
    unit_id: member.householdId,
    experiments: experiments.map(({ experiment_id, variant_id }) => ({ experiment_id, variant_id })),
    context: toRequestContext(request),
    ...content,
    timestamp: new Date(reactedAtMs).toISOString(),
  }));
  return { planner: answer.planner, fallbackReason: answer.fallback_reason, events };
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

async function forEachAtOnce<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const item of waiting) {
      if (failures.length > 0) return;
      await work(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failures.length > 0) throw failures[0];
}
