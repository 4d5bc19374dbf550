// Stored rows for concurrent requests: reads share queries, and new assignments share transactions.
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { AssignmentAccess } from './assign-unit.ts';
import type { AssignmentStore } from './assignment-store.ts';
import { createBatcher } from './batcher.ts';

const waitingItemsPerBatchItem = 40;

/** Reads and writes have lanes of their own, so that a read never waits for the disk sync of somebody else's write. */
export function createSharedAccess(options: {
  store: AssignmentStore;
  metrics: Metrics;
  maxBatchItems: number;
  concurrentBatches: number;
}): AssignmentAccess {
  const { store, metrics } = options;
  const batchItems = metrics.histogram(
    'assignment_batch_items',
    'Keys that shared one query or transaction',
    ['lane'],
    [1, 2, 5, 10, 20, 50, 100, 200, 500],
  );
  const stored = metrics.counter('assignments_stored_total', 'Rows that this process stored', ['source']);
  const limits = {
    maxItems: options.maxBatchItems,
    maxConcurrent: options.concurrentBatches,
    maxWaiting: options.maxBatchItems * waitingItemsPerBatchItem,
  };
  const reads = createBatcher({
    ...limits,
    run: (keys: Parameters<AssignmentStore['find']>[0]) => {
      batchItems.observe({ lane: 'read' }, keys.length);
      return store.find(keys);
    },
  });
  const writes = createBatcher({
    ...limits,
    run: async (candidates: Parameters<AssignmentStore['storeFirst']>[0]) => {
      batchItems.observe({ lane: 'write' }, candidates.length);
      const results = await store.storeFirst(candidates);
      for (const result of results) if (result.isNew) stored.inc({ source: result.stored.source });
      return results;
    },
  });
  return { find: reads.submit, storeFirst: writes.submit };
}
