// Delivers a stream of items in batches, several at a time, and counts what became of them.

import type { EventBody, ImportCounts, ImportedAssignment, SendOutcome, WorkloadPort } from './workload-port.ts';

export type DeliveryConfig = {
  readonly batchSize: number;
  /** Batches under way at once. With more than one, the order of arrival between batches is open. */
  readonly batchesInFlight: number;
};
export const defaultDeliveryConfig: DeliveryConfig = { batchSize: 100, batchesInFlight: 4 };

export type DeliveryCounts = {
  readonly sent: number;
  readonly accepted: number;
  readonly rejected: number;
  /** The first few rejections, to show to a person. */
  readonly rejections: readonly SendOutcome[];
};
const shownRejections = 10;

type DeliveryOptions<Counts> = DeliveryConfig & { readonly onProgress?: (counts: Counts) => void };

/** Sends all events. Rejects with the first failure of the port, after the batches under way have ended. */
export async function deliverEvents(
  port: Pick<WorkloadPort, 'send'>,
  events: AsyncIterable<EventBody> | Iterable<EventBody>,
  options: DeliveryOptions<DeliveryCounts> = defaultDeliveryConfig,
): Promise<DeliveryCounts> {
  let counts: DeliveryCounts = { sent: 0, accepted: 0, rejected: 0, rejections: [] };
  await forEachBatch(events, options, async (batch) => {
    const rejections = (await port.send(batch)).filter((outcome) => outcome.status === 'rejected');
    counts = {
      sent: counts.sent + batch.length,
      accepted: counts.accepted + batch.length - rejections.length,
      rejected: counts.rejected + rejections.length,
      rejections: [...counts.rejections, ...rejections].slice(0, shownRejections),
    };
    options.onProgress?.(counts);
  });
  return counts;
}

/** Imports all assignments; repeating an import changes nothing. */
export async function deliverAssignments(
  port: Pick<WorkloadPort, 'importAssignments'>,
  assignments: AsyncIterable<ImportedAssignment> | Iterable<ImportedAssignment>,
  options: DeliveryOptions<ImportCounts> = defaultDeliveryConfig,
): Promise<ImportCounts> {
  let counts: ImportCounts = { imported: 0, alreadyThere: 0 };
  await forEachBatch(assignments, options, async (batch) => {
    const added = await port.importAssignments(batch);
    counts = {
      imported: counts.imported + added.imported,
      alreadyThere: counts.alreadyThere + added.alreadyThere,
    };
    options.onProgress?.(counts);
  });
  return counts;
}

async function forEachBatch<T>(
  items: AsyncIterable<T> | Iterable<T>,
  config: DeliveryConfig,
  work: (batch: T[]) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let batch: T[] = [];
  const start = async (): Promise<void> => {
    const task = work(batch).catch((error: unknown) => {
      failures.push(error);
    });
    batch = [];
    underWay.add(task);
    void task.finally(() => underWay.delete(task));
    if (underWay.size >= config.batchesInFlight) await Promise.race(underWay);
  };
  for await (const item of items) {
    if (failures.length > 0) break;
    batch.push(item);
    if (batch.length >= config.batchSize) await start();
  }
  if (batch.length > 0 && failures.length === 0) await start();
  await Promise.all(underWay);
  if (failures.length > 0) throw failures[0];
}
