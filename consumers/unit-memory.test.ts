// Checks that the memory of units stays bounded and keeps the units used last.
import { expect, it } from 'vitest';
import { createUnitMemory } from './unit-memory.ts';

it('remembers the units used last and forgets the others', () => {
  const memory = createUnitMemory<number>(10);
  for (let unit = 0; unit < 1_000; unit += 1) {
    memory.keep('group', `u${unit}`, unit);
    memory.find('group', 'u0');
  }
  const remembered = Array.from({ length: 1_000 }, (_, unit) => `u${unit}`).filter(
    (unitId) => memory.find('group', unitId) !== undefined,
  );
  expect(remembered.length).toBeLessThanOrEqual(20);
  expect(remembered).toContain('u0');
  expect(remembered).toContain('u999');
});

it('keeps the latest value of a unit, and tells groups apart', () => {
  const memory = createUnitMemory<string>(10);
  memory.keep('a', 'u', 'first');
  memory.keep('a', 'u', 'second');
  memory.keep('b', 'u', 'third');
  expect(memory.find('a', 'u')).toBe('second');
  expect(memory.find('b', 'u')).toBe('third');
  expect(memory.find('c', 'u')).toBeUndefined();
});
