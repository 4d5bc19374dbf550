// Replays an Open Bandit file: imports its assignments, then sends its events.

import {
  type DeliveryConfig,
  type DeliveryCounts,
  defaultDeliveryConfig,
  deliverAssignments,
  deliverEvents,
} from '../workload-client/deliver.ts';
import type { ExperimentDefinition, ImportCounts, WorkloadPort } from '../workload-client/workload-port.ts';
import { type OpenBanditScan, readImpressions, scanOpenBandit } from './open-bandit-file.ts';
import { type Impression, toExperimentKey } from './parse-open-bandit.ts';
import { createImpressionMapping, toExperimentDefinition } from './to-events.ts';

export type OpenBanditPlan = {
  readonly path: string;
  readonly experimentKey: string;
  readonly definition: ExperimentDefinition;
  readonly scan: OpenBanditScan;
};

/** Reads the file once: which experiment it is. The experiment must exist and run before the file is replayed. */
export async function planOpenBandit(path: string): Promise<OpenBanditPlan> {
  const experimentKey = toExperimentKey(path);
  const scan = await scanOpenBandit(path);
  return { path, experimentKey, scan, definition: toExperimentDefinition(experimentKey, scan) };
}

export type OpenBanditProgress = {
  readonly step: 'assignments' | 'events';
  readonly done: number;
  readonly total: number;
};
export type OpenBanditResult = { readonly assignments: ImportCounts; readonly events: DeliveryCounts };

/**
 * Replays a file through the port. Idempotent: a second run imports nothing and repeats the same event ids. All
 * assignments are imported before the first event, so no event comes before its unit's assignment.
 */
export async function runOpenBandit(
  plan: OpenBanditPlan,
  port: Pick<WorkloadPort, 'send' | 'importAssignments'>,
  options: {
    readonly delivery?: DeliveryConfig;
    readonly onProgress?: (progress: OpenBanditProgress) => void;
  } = {},
): Promise<OpenBanditResult> {
  const { experimentKey, scan } = plan;
  const delivery = options.delivery ?? defaultDeliveryConfig;
  const mapping = createImpressionMapping({ experimentKey, contentSha256: scan.contentSha256 });
  const total = scan.impressions;
  const assignments = await deliverAssignments(port, mapEach(readImpressions(plan.path), mapping.toAssignment), {
    ...delivery,
    onProgress: ({ imported, alreadyThere }) =>
      options.onProgress?.({ step: 'assignments', done: imported + alreadyThere, total }),
  });
  const events = await deliverEvents(port, mapEach(readImpressions(plan.path), mapping.toEvent), {
    ...delivery,
    onProgress: ({ sent }) => options.onProgress?.({ step: 'events', done: sent, total }),
  });
  return { assignments, events };
}

async function* mapEach<T>(impressions: AsyncIterable<Impression>, map: (impression: Impression) => T) {
  for await (const impression of impressions) yield map(impression);
}
