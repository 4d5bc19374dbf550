// Records assignments that another system made: never overwrites, and says item by item what could not be recorded.
import type { Variant } from '#domain/experiment/experiment.ts';
import { asUnitId } from '#domain/experiment/ids.ts';
import type { DefinitionIndex, LiveExperiment } from '#producers/definition-store/live-definitions.ts';
import { findExperiment } from './assign-unit.ts';
import type { AssignmentCandidate, AssignmentStore } from './assignment-store.ts';
import type { FieldProblem } from './request-error.ts';
import type { ImportItem, ImportResponse } from './wire-schemas.ts';

type PlannedItem =
  | { readonly ok: true; readonly candidate: AssignmentCandidate; readonly live: LiveExperiment }
  | { readonly ok: false; readonly problem: FieldProblem };

const refuse = (field: string, message: string): PlannedItem => ({ ok: false, problem: { field, message } });

function findVariant({ experiment }: LiveExperiment, nameOrId: string): Variant | undefined {
  return (
    experiment.variants.find(({ name }) => name === nameOrId) ??
    experiment.variants.find(({ variantId }) => variantId === nameOrId.toLowerCase())
  );
}

function planItem(index: DefinitionIndex, item: ImportItem, nowMs: number): PlannedItem {
  if ((item.experiment === undefined) === (item.experiment_id === undefined)) {
    return refuse('experiment', 'give either experiment or experiment_id');
  }
  if ((item.variant === undefined) === (item.variant_id === undefined)) {
    return refuse('variant', 'give either variant or variant_id');
  }
  const keyOrId = item.experiment ?? item.experiment_id ?? '';
  const live = findExperiment(index, keyOrId);
  const experimentField = item.experiment === undefined ? 'experiment_id' : 'experiment';
  if (live === undefined) return refuse(experimentField, `there is no experiment ${keyOrId}`);
  const { experiment, compiled } = live;
  if (experiment.unitType !== item.unit_type) {
    return refuse('unit_type', `experiment ${keyOrId} randomizes units of the type ${experiment.unitType}`);
  }
  const nameOrId = item.variant ?? item.variant_id ?? '';
  const variant = findVariant(live, nameOrId);
  if (variant === undefined) {
    return refuse(
      item.variant === undefined ? 'variant_id' : 'variant',
      `experiment ${keyOrId} has no variant ${nameOrId}`,
    );
  }
  if (item.assigned_at !== undefined && Date.parse(item.assigned_at) > nowMs) {
    return refuse('assigned_at', 'must not be in the future');
  }
  const range = compiled.ranges.ranges.find(({ variantId }) => variantId === variant.variantId);
  return {
    ok: true,
    live,
    candidate: {
      experimentId: experiment.experimentId,
      unitId: item.unit_id,
      unitType: item.unit_type,
      variantId: variant.variantId,
      bucket: compiled.bucketOf(asUnitId(item.unit_id)),
      experimentVersion: experiment.version,
      probability: item.probability ?? range?.probability ?? 0,
      enrolmentShare: compiled.ranges.enrolmentShare,
      source: 'imported',
      ...(item.assigned_at === undefined ? {} : { assignedAt: new Date(item.assigned_at).toISOString() }),
    },
  };
}

/**
 * Imports items in one transaction. An item whose unit is stored with the same variant is a duplicate; with another variant it is a
 * conflict, and the stored row stays. Of two items for one unit the first one counts.
 */
export function createImportAssignments(deps: {
  currentDefinitions: () => DefinitionIndex;
  store: Pick<AssignmentStore, 'storeFirst'>;
  nowMs: () => number;
}): (items: readonly ImportItem[]) => Promise<ImportResponse> {
  return async (items) => {
    const index = deps.currentDefinitions();
    const nowMs = deps.nowMs();
    const planned = items.map((item) => planItem(index, item, nowMs));
    const valid = planned.flatMap((plan) => (plan.ok ? [plan] : []));
    const results = await deps.store.storeFirst(valid.map(({ candidate }) => candidate));
    const response: ImportResponse = { imported: 0, duplicates: 0, conflicts: 0, invalid: 0, problems: [] };
    let position = 0;
    planned.forEach((plan, itemIndex) => {
      if (!plan.ok) {
        response.invalid += 1;
        response.problems.push({ index: itemIndex, status: 'invalid', ...plan.problem });
        return;
      }
      const { stored, isNew } = results[position]!;
      position += 1;
      if (isNew) {
        response.imported += 1;
      } else if (stored.variantId === plan.candidate.variantId) {
        response.duplicates += 1;
      } else {
        response.conflicts += 1;
        const name = plan.live.compiled.variants.get(stored.variantId)?.name ?? stored.variantId;
        response.problems.push({
          index: itemIndex,
          status: 'conflict',
          message: `the unit is already stored with the variant ${name} (${stored.source}), which stays`,
        });
      }
    });
    return response;
  };
}
