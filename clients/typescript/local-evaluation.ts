// Evaluates units with the rules of the service, and remembers what they got in the sticky store.
import { type ClientDefinition, fromClientDefinition } from '../../domain/experiment/client-definition.ts';
import { type CompiledExperiment, compileExperiment } from '../../domain/experiment/compile-experiment.ts';
import { type AssignmentSource, evaluate, type StoredAssignment } from '../../domain/experiment/evaluate.ts';
import { isAnsweredUnasked } from '../../domain/experiment/experiment.ts';
import type { UnitId, UnitType, VariantId } from '../../domain/experiment/ids.ts';
import type { Settings } from './settings.ts';
import type { Decision, Unit, VariantConfig } from './types.ts';

/** `isFinal` is false when only the service knows: a unit's stored row may say something else. */
export type LocalAnswer = { readonly decision: Decision; readonly isFinal: boolean };

export type LocalEvaluation = {
  /** Takes definitions over: in addition to those there are and without the removed keys, or instead of them for null. */
  take(definitions: readonly ClientDefinition[], removed: readonly string[] | null): void;
  /** The experiments of a unit type that enroll or deliver. */
  keysOf(unitType: string): string[];
  evaluate(experimentKey: string, unit: Unit): LocalAnswer;
  /** Remembers an assignment that the service answered. */
  remember(experimentId: string, unitId: string, assignment: RememberedAssignment): void;
};

/** As it is kept: variant, bucket, source, and whether the service said so. Short names, because browsers' stores are small. */
type RememberedAssignment = { v: string; b: number; s: string; r?: boolean };

export function createLocalEvaluation({ stickyStore, nowMs, onError }: Settings): LocalEvaluation {
  const byKey = new Map<string, CompiledExperiment>();

  const tryStore = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      onError('sticky-store', error as Error);
      return undefined;
    }
  };
  const findRemembered = ({ definition }: CompiledExperiment, unitId: string): StoredAssignment | null => {
    const remembered = tryStore(() => {
      const text = stickyStore.get(`${definition.experimentId}:${unitId}`);
      return text ? (JSON.parse(text) as RememberedAssignment) : undefined;
    });
    // What was decided here counts for nothing once stored rows may differ from the hash.
    if (!remembered?.v || (definition.storeRequired && !remembered.r)) return null;
    const { v, b, s } = remembered;
    // Delivery does not look at the propensities, which are with the stored row.
    return { variantId: v as VariantId, bucket: b, source: s as AssignmentSource, probability: 0, enrolmentShare: 0 };
  };
  const remember: LocalEvaluation['remember'] = (experimentId, unitId, assignment) => {
    tryStore(() => stickyStore.set(`${experimentId}:${unitId}`, JSON.stringify(assignment)));
  };

  return {
    remember,
    take: (definitions, removed) => {
      if (removed) for (const key of removed) byKey.delete(key);
      else byKey.clear();
      for (const definition of definitions) {
        try {
          byKey.set(definition.key, compileExperiment(fromClientDefinition(definition)));
        } catch (error) {
          onError('definitions', error as Error);
        }
      }
    },
    keysOf: (unitType) =>
      [...byKey]
        .filter(([, { definition }]) => definition.unitType === unitType && isAnsweredUnasked(definition))
        .map(([key]) => key),
    evaluate: (experimentKey, unit) => {
      const experiment = byKey.get(experimentKey);
      if (!experiment) return { decision: toDecision(experimentKey, unit, 'unknown-experiment'), isFinal: true };
      const { definition } = experiment;
      const { experimentId, storeRequired } = definition;
      const unitId = unit.unitId as UnitId;
      const stored = findRemembered(experiment, unitId);
      const { reason, assignment, isNew, servedVariantId } = evaluate(experiment, {
        unitType: unit.unitType as UnitType,
        unitId,
        context: unit.context ?? {},
        stored,
        nowMs: nowMs(),
      });
      // A forced variant holds for as long as it is defined.
      if (isNew && assignment?.source === 'hashed') {
        remember(experimentId, unitId, { v: assignment.variantId, b: assignment.bucket, s: assignment.source });
      }
      const served = experiment.variants.get(servedVariantId as VariantId);
      const needsStore = storeRequired && !stored && !served && definition.serving.mode === 'as_assigned';
      return {
        // Units that were enrolled before it was closed keep what they have, and only the service knows which.
        isFinal: !needsStore && !['paused', 'completed', 'ended'].includes(reason),
        decision: {
          ...toDecision(experimentKey, unit, needsStore ? 'store-required' : reason, assignment?.source),
          experimentId,
          ...(served && toServed(served.variantId, served.name, served.config)),
          assignedVariantId: assignment?.variantId ?? null,
          hashBucket: assignment?.bucket ?? experiment.bucketOf(unitId),
          from: stored ? 'sticky' : 'local',
        },
      };
    },
  };
}

/** A decision without a variant, to be filled in. */
export function toDecision(experimentKey: string, unit: Unit, reason: string, source?: string | null): Decision {
  return {
    experimentKey,
    experimentId: null,
    unit,
    variantId: null,
    variantName: null,
    config: null,
    assignedVariantId: null,
    hashBucket: null,
    // The first answer and all later ones have the same reason, and a unit that was forced once stays out of results.
    reason: !['stored', 'assigned'].includes(reason) ? reason : source === 'forced' ? source : 'assigned',
    from: 'local',
  };
}

export function toServed(
  variantId: string,
  variantName: string,
  config: object,
): Pick<Decision, 'variantId' | 'variantName' | 'config'> {
  return { variantId, variantName, config: { params: {}, ...config } satisfies VariantConfig };
}
