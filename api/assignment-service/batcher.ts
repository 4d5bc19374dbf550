// Combines concurrent calls into few: calls that arrive while a batch is under way share the next one.
import { RetryableError } from '#platform/errors.ts';

export type Batcher<Item, Result> = {
  /** Adds items to the next batch and resolves with their results in order. All items of a call are in one batch. */
  submit(items: readonly Item[]): Promise<Result[]>;
};

type Call<Item, Result> = {
  readonly items: readonly Item[];
  readonly resolve: (results: Result[]) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * `run` gets the items of several calls and returns one result per item in order; when it fails, all its calls fail. A batch starts
 * at once when fewer than `maxConcurrent` are under way, and never holds more than `maxItems` unless one call alone does.
 */
export function createBatcher<Item, Result>(options: {
  run: (items: readonly Item[]) => Promise<readonly Result[]>;
  maxConcurrent: number;
  maxItems: number;
  /** Items that may wait; more are refused, so that a slow database is answered with "come back" and not with memory. */
  maxWaiting: number;
}): Batcher<Item, Result> {
  const { run, maxConcurrent, maxItems, maxWaiting } = options;
  let waiting: Call<Item, Result>[] = [];
  let waitingItems = 0;
  let concurrent = 0;
  let isScheduled = false;

  const takeCalls = (): Call<Item, Result>[] => {
    let itemCount = 0;
    let callCount = 0;
    for (const call of waiting) {
      if (callCount > 0 && itemCount + call.items.length > maxItems) break;
      itemCount += call.items.length;
      callCount += 1;
    }
    const taken = waiting.slice(0, callCount);
    waiting = waiting.slice(callCount);
    waitingItems -= itemCount;
    return taken;
  };

  const runBatch = async (calls: readonly Call<Item, Result>[]): Promise<void> => {
    try {
      const results = await run(calls.flatMap(({ items }) => items));
      let position = 0;
      for (const { items, resolve } of calls) {
        resolve(results.slice(position, position + items.length));
        position += items.length;
      }
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  };

  const start = (): void => {
    isScheduled = false;
    while (concurrent < maxConcurrent && waiting.length > 0) {
      concurrent += 1;
      void runBatch(takeCalls()).finally(() => {
        concurrent -= 1;
        start();
      });
    }
  };

  return {
    submit: (items) => {
      if (items.length === 0) return Promise.resolve([]);
      if (waitingItems > 0 && waitingItems + items.length > maxWaiting) {
        return Promise.reject(
          new RetryableError(`${waitingItems} items are waiting already`, { code: 'dependency-unavailable' }),
        );
      }
      waitingItems += items.length;
      const { promise, resolve, reject } = Promise.withResolvers<Result[]>();
      waiting.push({ items, resolve, reject });
      // After the requests that this turn of the event loop has read from their sockets, so that they share a batch.
      if (!isScheduled && concurrent < maxConcurrent) {
        isScheduled = true;
        setImmediate(start);
      }
      return promise;
    },
  };
}
