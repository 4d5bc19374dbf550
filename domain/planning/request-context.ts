// What events and assignments say about a planning request: flat attributes, the same in serving and in simulation.

import type { PlanRequest } from './request-shape.ts';

export function toRequestContext(request: PlanRequest): Record<string, string | number | boolean> {
  const { household } = request;
  return {
    region: household.region,
    cooking_skill: household.cooking_skill,
    members: household.members.length,
    has_children: household.members.some((member) => member.age_group === 'child'),
    workflow_type: request.workflow_type,
    mode: request.mode,
    slots: request.slots.length,
  };
}
