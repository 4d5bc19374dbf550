// Turns impressions into one experiment: its definition, one imported assignment and one event per impression.

import { experimentIdOf, idOfName, variantIdOf } from '#domain/assignment/deterministic-ids.ts';
import { asExperimentKey } from '#domain/experiment/ids.ts';
import type { EventBody, ExperimentDefinition, ImportedAssignment } from '../workload-client/workload-port.ts';
import type { OpenBanditScan } from './open-bandit-file.ts';
import type { Impression } from './parse-open-bandit.ts';

export const impressionUnitType = 'impression';
const controlPolicy = 'random';

/** Policies of the file as variants: the control first (`random`, or the first by name), then by name. */
export function listVariantNames(scan: OpenBanditScan): string[] {
  const names = [...scan.impressionsByPolicy.keys()].sort();
  const control = names.includes(controlPolicy) ? controlPolicy : names[0];
  return names.sort((a, b) => Number(b === control) - Number(a === control));
}

/**
 * The experiment that a file records. How traffic was meant to be divided is not in the file, so the allocations are the
 * observed shares in whole basis points: a sample ratio check of this experiment can therefore not fail.
 */
export function toExperimentDefinition(experimentKey: string, scan: OpenBanditScan): ExperimentDefinition {
  const names = listVariantNames(scan);
  const basisPoints = toBasisPoints(names.map((name) => scan.impressionsByPolicy.get(name) ?? 0));
  return {
    key: experimentKey,
    name: experimentKey,
    iteration: 1,
    unit_type: impressionUnitType,
    exposure: 'implicit',
    hypothesis: 'The policies differ in the click rate of the items that they show (Open Bandit Dataset)',
    owner: 'open-bandit',
    coverage: 1,
    metrics: { primary: 'click_rate' },
    variants: names.map((name, index) => ({
      name,
      allocation: (basisPoints[index] ?? 0) / 10_000,
      is_control: index === 0,
      config: { params: { policy: name } },
    })),
  };
}

/** Shares in basis points that sum to exactly 10,000; the largest remainders are rounded up. */
export function toBasisPoints(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const exact = counts.map((count) => (count * 10_000) / total);
  const floors = exact.map(Math.floor);
  const missing = 10_000 - floors.reduce((sum, floor) => sum + floor, 0);
  const byRemainder = exact
    .map((value, index) => ({ index, remainder: value - Math.floor(value) }))
    .sort((a, b) => b.remainder - a.remainder || a.index - b.index);
  for (const { index } of byRemainder.slice(0, missing)) floors[index] = (floors[index] ?? 0) + 1;
  return floors;
}

export type ImpressionMapping = {
  readonly toEvent: (impression: Impression) => EventBody;
  readonly toAssignment: (impression: Impression) => ImportedAssignment;
};

/** Mappings for one file. All ids follow from content and row number, so a second run repeats the same ids. */
export function createImpressionMapping(options: {
  readonly experimentKey: string;
  readonly contentSha256: string;
}): ImpressionMapping {
  const experiment_id = experimentIdOf(asExperimentKey(options.experimentKey), 1);
  const variantIds = new Map<string, string>();
  const findVariantId = (policy: string): string => {
    const known = variantIds.get(policy);
    if (known !== undefined) return known;
    const variantId = variantIdOf(experiment_id, policy);
    variantIds.set(policy, variantId);
    return variantId;
  };
  const idOf = (what: 'unit' | 'event', rowNumber: number) =>
    idOfName(`open-bandit/${what}/${options.contentSha256}/${rowNumber}`);
  return {
    toEvent: (impression) => ({
      event_id: idOf('event', impression.rowNumber),
      event_type: 'impression',
      unit_type: impressionUnitType,
      unit_id: idOf('unit', impression.rowNumber),
      experiments: [{ experiment_id, variant_id: findVariantId(impression.policy) }],
      context: {
        ...impression.features,
        item_id: impression.itemId,
        position: impression.position,
        action_propensity: impression.actionPropensity,
      },
      metrics: { click: impression.click },
      timestamp: impression.timestamp,
    }),
    toAssignment: (impression) => ({
      experiment_id,
      variant_id: findVariantId(impression.policy),
      unit_type: impressionUnitType,
      unit_id: idOf('unit', impression.rowNumber),
      assigned_at: impression.timestamp,
    }),
  };
}
