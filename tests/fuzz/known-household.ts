// A household that the fuzzed planner service knows, and the values of a request that finds it.
import { sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';

const { members, rows } = sampleWorld({ households: 1, days: 1 });

export const plannerRows = rows;
export const knownOfPlanner = {
  household_id: members[0]!.householdId,
  requested_at: '2026-01-05T12:00:00Z',
  date: '2026-01-06',
};
