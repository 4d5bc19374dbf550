// A bounded memory of committed first exposures, so that returning units cost no query.
import type { Arm } from './aggregate-rows.ts';

export type KnownExposures = {
  /** An upper bound of the unit's first exposure in ms: the true one can only be at or before it. Undefined when unknown. */
  find(arm: Arm, unitId: string): number | undefined;
  /** Only for first exposures that are committed: one that was rolled back would let values count that must wait. */
  remember(arm: Arm, unitId: string, firstExposedAtMs: number): void;
  forgetAll(): void;
};

/**
 * Holds at least the `capacity` units used last, and at most twice as many: when the younger half is full the older half is
 * forgotten. Cheaper than a list in order of use, and a unit that is forgotten is only read again.
 */
export function createKnownExposures(capacity: number): KnownExposures {
  let younger = new Map<string, Map<string, number>>();
  let older = new Map<string, Map<string, number>>();
  let youngerCount = 0;

  const keep = (key: string, unitId: string, firstExposedAtMs: number): void => {
    let units = younger.get(key);
    if (units === undefined) {
      units = new Map();
      younger.set(key, units);
    }
    if (!units.has(unitId)) youngerCount += 1;
    units.set(unitId, firstExposedAtMs);
    if (youngerCount < capacity) return;
    older = younger;
    younger = new Map();
    youngerCount = 0;
  };

  const keyOf = (arm: Arm): string => arm.experimentId + arm.variantId;

  return {
    find: (arm, unitId) => {
      const key = keyOf(arm);
      const recent = younger.get(key)?.get(unitId);
      if (recent !== undefined) return recent;
      const earlier = older.get(key)?.get(unitId);
      if (earlier !== undefined) keep(key, unitId, earlier);
      return earlier;
    },
    remember: (arm, unitId, firstExposedAtMs) => {
      const key = keyOf(arm);
      const known = younger.get(key)?.get(unitId) ?? older.get(key)?.get(unitId);
      keep(key, unitId, known === undefined ? firstExposedAtMs : Math.min(known, firstExposedAtMs));
    },
    forgetAll: () => {
      younger = new Map();
      older = new Map();
      youngerCount = 0;
    },
  };
}
