// Tests that results are computed one at a time, shared by those who ask the same, and refused when too many wait.
import { expect, test } from 'vitest';
import type { readResults } from '#analytics/results/read-results.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { createResultsReader } from './results-reader.ts';

const wanted = { history: false, segments: false };

function createReader() {
  const begun: string[] = [];
  const open: PromiseWithResolvers<null>[] = [];
  const read = createResultsReader({
    pool: {} as Pool,
    read: ((_pool: Pool, key: string) => {
      begun.push(key);
      const done = Promise.withResolvers<null>();
      open.push(done);
      return done.promise;
    }) as typeof readResults,
  });
  return { read, begun, open };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('the same question is computed once, another one after it', async () => {
  const { read, begun, open } = createReader();
  const answers = [read('a', wanted), read('a', wanted), read('b', wanted), read('a', { ...wanted, history: true })];
  await turn();
  expect(begun).toEqual(['a']);
  open[0]!.resolve(null);
  await turn();
  expect(begun).toEqual(['a', 'b']);
  // A failure is the answer to its own question only.
  open[1]!.reject(new Error('away'));
  await expect(answers[2]).rejects.toThrow('away');
  await turn();
  expect(begun).toEqual(['a', 'b', 'a']);
  open[2]!.resolve(null);
  expect(await Promise.all([answers[0], answers[1], answers[3]])).toEqual(
    Array.from({ length: 3 }, () => ({ status: 'read', results: null })),
  );
});

test('when too many different questions wait, the next one is told so at once', async () => {
  const { read, open } = createReader();
  const waiting = Array.from({ length: 8 }, (_, index) => read(String(index), wanted));
  expect(await read('one more', wanted)).toEqual({ status: 'busy' });
  for (let index = 0; index < 8; index++) {
    await turn();
    open[index]!.resolve(null);
  }
  await Promise.all(waiting);
  const next = read('one more', wanted);
  await turn();
  open[8]!.resolve(null);
  expect(await next).toEqual({ status: 'read', results: null });
});
