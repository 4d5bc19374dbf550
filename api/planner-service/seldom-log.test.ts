// Test of warnings that every request may give.
import { expect, test } from 'vitest';
import { createSeldomLog } from './seldom-log.ts';

test('says each kind at once, then once in a while with how many it kept back', () => {
  const said: unknown[] = [];
  let now = 0;
  const warn = createSeldomLog({ warn: (...args: unknown[]) => void said.push(args) } as never, () => now);
  for (const kind of ['a', 'a', 'b', 'a']) warn(kind, { kind }, 'it failed');
  now = 10_000;
  warn('a', { kind: 'a' }, 'it failed');
  expect(said).toEqual([
    [{ kind: 'a', unsaid: 0 }, 'it failed'],
    [{ kind: 'b', unsaid: 0 }, 'it failed'],
    [{ kind: 'a', unsaid: 2 }, 'it failed'],
  ]);
});
