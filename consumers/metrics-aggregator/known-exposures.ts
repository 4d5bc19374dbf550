// A bounded memory of committed first exposures.
import { createUnitMemory } from '#consumers/unit-memory.ts';
import type { Arm } from './aggregate-rows.ts';

export type KnownExposures = {
  /** An upper bound of the unit's first exposure in ms: the true one can only be at or before it. Undefined when unknown. */
  find(arm: Arm, unitId: string): number | undefined;
  /** Only for first exposures that are committed: one that was rolled back would let values count that must wait. */
  remember(arm: Arm, unitId: string, firstExposedAtMs: number): void;
  forgetAll(): void;
};

/** Holds at least the `capacity` units used last, and at most twice as many. */
export function createKnownExposures(capacity: number): KnownExposures {
  const memory = createUnitMemory<number>(capacity);
  // Flattened when it is first used as a key; an arm object is shared by all units of a batch.
  const keys = new WeakMap<Arm, string>();
  const keyOf = (arm: Arm): string => {
    let key = keys.get(arm);
    if (key === undefined) {
      key = arm.experimentId + arm.variantId;
      keys.set(arm, key);
    }
    return key;
  };
  return {
    find: (arm, unitId) => memory.find(keyOf(arm), unitId),
    remember: (arm, unitId, firstExposedAtMs) => {
      const key = keyOf(arm);
      const known = memory.find(key, unitId);
      if (known === undefined || firstExposedAtMs < known) memory.keep(key, unitId, firstExposedAtMs);
    },
    forgetAll: memory.forgetAll,
  };
}
