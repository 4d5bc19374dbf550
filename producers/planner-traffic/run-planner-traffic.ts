// Runs the simulated traffic against the platform: asks for every household's assignment, then sends the events.

import {
  type DeliveryConfig,
  type DeliveryCounts,
  defaultDeliveryConfig,
  deliverEvents,
} from '../workload-client/deliver.ts';
import type { AssignedVariant, WorkloadPort } from '../workload-client/workload-port.ts';
import { householdUnitType, simulateTraffic, type VariantEffect } from './simulate-traffic.ts';
import type { SimulatedHousehold, World } from './world.ts';

export type PlannerTrafficOptions = {
  readonly world: World;
  readonly effects: Readonly<Record<string, VariantEffect>>;
  /** Keys of the experiments that the planner asks for. */
  readonly experiments: readonly string[];
  readonly delivery?: DeliveryConfig;
  readonly onProgress?: (progress: PlannerTrafficProgress) => void;
};
export type PlannerTrafficProgress = { readonly step: 'assignments' | 'events'; readonly done: number };
export type PlannerTrafficResult = {
  /** Households by variant name; `none` took part in no experiment. */
  readonly householdsByVariant: Readonly<Record<string, number>>;
  readonly events: DeliveryCounts;
};

const assignmentsInFlight = 16;

/** Idempotent while assignments and effects stay the same: a second run repeats the same event ids. */
export async function runPlannerTraffic(
  options: PlannerTrafficOptions,
  port: Pick<WorkloadPort, 'assign' | 'send'>,
): Promise<PlannerTrafficResult> {
  const { world, effects } = options;
  const assigned = await assignAll(options, port);
  const events = await deliverEvents(
    port,
    simulateTraffic({ world, effects, assign: (householdId) => assigned.get(householdId) ?? [] }),
    {
      ...(options.delivery ?? defaultDeliveryConfig),
      onProgress: ({ sent }) => options.onProgress?.({ step: 'events', done: sent }),
    },
  );
  const names = [...assigned.values()].map((variants) => variants.map((v) => v.variant_name).join('+') || 'none');
  const counts = [...Map.groupBy(names, (name) => name)].map(([name, members]) => [name, members.length] as const);
  return { householdsByVariant: Object.fromEntries(counts.sort()), events };
}

async function assignAll(
  options: PlannerTrafficOptions,
  port: Pick<WorkloadPort, 'assign'>,
): Promise<Map<string, readonly AssignedVariant[]>> {
  const assigned = new Map<string, readonly AssignedVariant[]>();
  const waiting = options.world.members.values();
  const worker = async (): Promise<void> => {
    for (const member of waiting) {
      const unit = { unit_type: householdUnitType, unit_id: member.householdId };
      const request = { experiments: options.experiments, context: contextOf(member) };
      assigned.set(member.householdId, await port.assign(unit, request));
      options.onProgress?.({ step: 'assignments', done: assigned.size });
    }
  };
  await Promise.all(Array.from({ length: assignmentsInFlight }, worker));
  return assigned;
}

function contextOf(member: SimulatedHousehold) {
  const row = member.rows.household[0];
  return {
    region: row?.attributes.region ?? null,
    members: row?.members ?? null,
    has_children: row?.attributes.members.some(({ age_group }) => age_group === 'child') ?? null,
  };
}
