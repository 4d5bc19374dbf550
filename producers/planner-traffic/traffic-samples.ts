// Small simulated runs for tests, on the committed recipes.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCatalogueFromSource } from '#domain/planning/catalogue.ts';
import type { AssignedVariant } from '../workload-client/workload-port.ts';
import { simulateTraffic, type TrafficOptions } from './simulate-traffic.ts';
import { simulateWorld, type WorldOptions } from './world.ts';

export const committedCatalogue = createCatalogueFromSource(
  JSON.parse(readFileSync(join(import.meta.dirname, '../../data/recipes.json'), 'utf8')),
);

const variantIds = {
  control: '22222222-2222-4222-8222-222222222222',
  candidate: '33333333-3333-4333-8333-333333333333',
} as const;

export function variantOf(variant_name: keyof typeof variantIds): AssignedVariant {
  return {
    experiment_id: '11111111-1111-4111-8111-111111111111',
    variant_id: variantIds[variant_name],
    variant_name,
  };
}

/** Half of the households by the first digit of their id. */
export function assignHalf(householdId: string): AssignedVariant[] {
  return [variantOf(Number.parseInt(householdId[0] ?? '0', 16) < 8 ? 'control' : 'candidate')];
}

export function sampleWorld(options: Partial<WorldOptions> = {}) {
  return simulateWorld({
    seed: 1,
    households: 60,
    days: 21,
    start: '2026-01-05',
    catalogue: committedCatalogue,
    ...options,
  });
}

export function runTraffic(options: Partial<TrafficOptions> = {}) {
  return [...simulateTraffic({ world: sampleWorld(), effects: {}, assign: assignHalf, ...options })];
}
