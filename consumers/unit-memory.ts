// A bounded memory of one value per unit in a group of units (such as an experiment), so that returning units cost no query.

export type UnitMemory<V> = {
  find(group: string, unitId: string): V | undefined;
  keep(group: string, unitId: string, value: V): void;
  forgetAll(): void;
};

/**
 * Holds at least the `capacity` units used last, and at most twice as many: when the younger half is full the older half is
 * forgotten. Cheaper than a list in order of use, and a unit that is forgotten is only read again. Nested maps, because joining
 * group and unit to one key would cost more than the lookup.
 */
export function createUnitMemory<V>(capacity: number): UnitMemory<V> {
  let younger = new Map<string, Map<string, V>>();
  let older = new Map<string, Map<string, V>>();
  let youngerCount = 0;

  const keep = (group: string, unitId: string, value: V): void => {
    let units = younger.get(group);
    if (units === undefined) {
      units = new Map();
      younger.set(group, units);
    }
    if (!units.has(unitId)) youngerCount += 1;
    units.set(unitId, value);
    if (youngerCount < capacity) return;
    older = younger;
    younger = new Map();
    youngerCount = 0;
  };

  return {
    find: (group, unitId) => {
      const recent = younger.get(group)?.get(unitId);
      if (recent !== undefined) return recent;
      const earlier = older.get(group)?.get(unitId);
      if (earlier !== undefined) keep(group, unitId, earlier);
      return earlier;
    },
    keep,
    forgetAll: () => {
      younger = new Map();
      older = new Map();
      youngerCount = 0;
    },
  };
}
