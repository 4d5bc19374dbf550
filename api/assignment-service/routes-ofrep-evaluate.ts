// Evaluates flags by assigning: one flag enrolls its unit, all flags together read stored rows and compute the rest.
import { hash } from 'node:crypto';
import {
  type FlagDecision,
  type FlagEvaluation,
  isListedFlag,
  toFlagEvaluation,
} from '#domain/ofrep/flag-evaluation.ts';
import type { DefinitionIndex, LiveExperiment } from '#producers/definition-store/live-definitions.ts';
import type { AssignUnit } from './assign-unit.ts';
import type { AssignmentResponse } from './wire-schemas.ts';

/** Everything that evaluation may read; `targetingKey` is the unit's id. */
export type FlagContext = { readonly targetingKey: string } & Record<string, unknown>;

export type FlagEvaluatorDeps = {
  assignUnit: AssignUnit;
  currentDefinitions: () => DefinitionIndex;
  lookAgain: () => Promise<void>;
};

export type FlagEvaluator = {
  /** Evaluates one flag and stores the assignment of a unit that has none; null when there is no such flag. */
  evaluateFlag(key: string, context: FlagContext): Promise<FlagEvaluation | null>;
  /** Evaluates every flag without storing anything, in the order of their keys. */
  evaluateAll(context: FlagContext): Promise<FlagEvaluation[]>;
};

/** The type of the unit, when the context says it; else the targeting key stands for whatever unit a flag is about. */
function unitTypeIn(context: FlagContext): string | undefined {
  return typeof context.unit_type === 'string' ? context.unit_type : undefined;
}

function toDecisions(response: AssignmentResponse, index: DefinitionIndex): FlagDecision[] {
  return [
    ...response.assignments.map((answer) => ({
      experimentKey: answer.experiment_key,
      experimentId: answer.experiment_id,
      experimentVersion: answer.experiment_version,
      reason: answer.reason,
      served: { variantId: answer.variant_id, variantName: answer.variant_name, config: answer.config },
      assignedVariantId: answer.assigned_variant_id,
      isStored: answer.stored,
    })),
    ...response.not_assigned.map((answer) => ({
      experimentKey: answer.experiment_key,
      experimentId: answer.experiment_id,
      experimentVersion: index.byId.get(answer.experiment_id)?.experiment.version ?? 0,
      reason: answer.reason,
      served: null,
      assignedVariantId: answer.assigned_variant_id,
      isStored: null,
    })),
  ];
}

function mismatchOf({ experiment }: LiveExperiment): FlagDecision {
  return {
    experimentKey: experiment.experimentKey,
    experimentId: experiment.experimentId,
    experimentVersion: experiment.version,
    reason: 'unit-type-mismatch',
    served: null,
    assignedVariantId: null,
    isStored: null,
  };
}

export function createFlagEvaluator(deps: FlagEvaluatorDeps): FlagEvaluator {
  const { assignUnit } = deps;

  const decide = async (
    experiments: readonly LiveExperiment[],
    context: FlagContext,
    options: { enroll: boolean },
  ): Promise<FlagDecision[]> => {
    const [first] = experiments;
    if (first === undefined) return [];
    const response = await assignUnit({
      unit_type: first.experiment.unitType,
      unit_id: context.targetingKey,
      context,
      // By id: another iteration may become the current one while this is answered.
      requested_experiments: experiments.map(({ experiment }) => experiment.experimentId),
      enroll: options.enroll,
    });
    return toDecisions(response, deps.currentDefinitions());
  };

  const findFlag = async (key: string): Promise<LiveExperiment | undefined> => {
    const known = deps.currentDefinitions().byKey.get(key);
    if (known !== undefined) return known;
    await deps.lookAgain();
    return deps.currentDefinitions().byKey.get(key);
  };

  return {
    evaluateFlag: async (key, context) => {
      const live = await findFlag(key);
      if (live === undefined) return null;
      const unitType = unitTypeIn(context);
      if (unitType !== undefined && unitType !== live.experiment.unitType) return toFlagEvaluation(mismatchOf(live));
      const [decision] = await decide([live], context, { enroll: true });
      return decision === undefined ? null : toFlagEvaluation(decision);
    },
    evaluateAll: async (context) => {
      const wanted = unitTypeIn(context);
      const byUnitType = new Map<string, LiveExperiment[]>();
      for (const live of deps.currentDefinitions().byKey.values()) {
        const { unitType } = live.experiment;
        if (wanted !== undefined && wanted !== unitType) continue;
        const others = byUnitType.get(unitType);
        if (others === undefined) byUnitType.set(unitType, [live]);
        else others.push(live);
      }
      const decisions = await Promise.all(
        [...byUnitType.values()].map((experiments) => decide(experiments, context, { enroll: false })),
      );
      return decisions
        .flat()
        .filter(isListedFlag)
        .map(toFlagEvaluation)
        .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    },
  };
}

/** Validator of a bulk answer: equal answers have equal tags on every instance. */
export function entityTagOf(body: string): string {
  return `"${hash('sha256', body, 'base64url')}"`;
}

/** Whether an If-None-Match header names the tag; tags compare weakly, and some clients leave the quotes out. */
export function namesEntityTag(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  const bare = (text: string): string =>
    text
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
  return ifNoneMatch.split(',').some((entry) => entry.trim() === '*' || bare(entry) === bare(tag));
}
