// Finds keys that poison objects when careless code copies them: `__proto__`, and `constructor` with `prototype` inside.

/**
 * The path of the first such key, or null. JSON.parse itself is safe; the events travel on to consumers that merge objects. A
 * stack instead of recursion: bodies may nest deeper than the call stack.
 */
export function findPollutingKey(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const stack: { value: object; path: string }[] = [{ value, path: '' }];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const isList = Array.isArray(entry.value);
    for (const name of Object.keys(entry.value)) {
      const inner = (entry.value as Record<string, unknown>)[name];
      const path = isList ? `${entry.path}[${name}]` : entry.path === '' ? name : `${entry.path}.${name}`;
      if (name === '__proto__' && !isList) return path.slice(0, 200);
      if (typeof inner !== 'object' || inner === null) continue;
      if (name === 'constructor' && Object.hasOwn(inner, 'prototype')) return `${path}.prototype`.slice(0, 200);
      stack.push({ value: inner, path });
    }
  }
  return null;
}
