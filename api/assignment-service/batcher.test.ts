// Which calls share a batch, and that results and failures reach the calls they belong to.
import { expect, test } from 'vitest';
import { createBatcher } from './batcher.ts';

function createGate() {
  const batches: { items: readonly number[]; finish: () => void; fail: (error: Error) => void }[] = [];
  const run = (items: readonly number[]) =>
    new Promise<number[]>((resolve, reject) => {
      batches.push({ items, finish: () => resolve(items.map((item) => item * 10)), fail: reject });
    });
  return { batches, run };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('calls that arrive while a batch is under way share the next one', async () => {
  const { batches, run } = createGate();
  const batcher = createBatcher({ run, maxConcurrent: 1, maxItems: 100, maxWaiting: 100 });
  const first = batcher.submit([1]);
  await turn();
  const second = batcher.submit([2, 3]);
  const third = batcher.submit([4]);
  await turn();
  expect(batches.map(({ items }) => items)).toEqual([[1]]);
  batches[0]!.finish();
  expect(await first).toEqual([10]);
  await turn();
  expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3, 4]]);
  batches[1]!.finish();
  expect(await Promise.all([second, third])).toEqual([[20, 30], [40]]);
});

test('a batch holds at most its limit, unless one call alone is larger', async () => {
  const { batches, run } = createGate();
  const batcher = createBatcher({ run, maxConcurrent: 9, maxItems: 2, maxWaiting: 100 });
  const results = [[1], [2], [3, 4, 5], [6]].map((items) => batcher.submit(items));
  await turn();
  expect(batches.map(({ items }) => items)).toEqual([[1, 2], [3, 4, 5], [6]]);
  for (const { finish } of batches) finish();
  expect(await Promise.all(results)).toEqual([[10], [20], [30, 40, 50], [60]]);
});

test('a failed batch fails its own calls, and the next batch runs', async () => {
  const { batches, run } = createGate();
  const batcher = createBatcher({ run, maxConcurrent: 1, maxItems: 1, maxWaiting: 100 });
  const first = batcher.submit([1]);
  const second = batcher.submit([2]);
  await turn();
  batches[0]!.fail(new Error('Postgres is away'));
  await expect(first).rejects.toThrow('Postgres is away');
  await turn();
  batches[1]!.finish();
  expect(await second).toEqual([20]);
});

test('nothing to do needs no batch', async () => {
  const { batches, run } = createGate();
  expect(await createBatcher({ run, maxConcurrent: 1, maxItems: 1, maxWaiting: 100 }).submit([])).toEqual([]);
  expect(batches).toEqual([]);
});

test('refuses what exceeds the bound while others wait, and takes it again afterwards', async () => {
  const { batches, run } = createGate();
  const batcher = createBatcher({ run, maxConcurrent: 1, maxItems: 10, maxWaiting: 2 });
  const first = batcher.submit([1]);
  await turn();
  const second = batcher.submit([2, 3]);
  await expect(batcher.submit([4])).rejects.toThrow('2 items are waiting already');
  batches[0]!.finish();
  await first;
  await turn();
  batches[1]!.finish();
  expect(await second).toEqual([20, 30]);
  const third = batcher.submit([5]);
  await turn();
  batches[2]!.finish();
  expect(await third).toEqual([50]);
});
