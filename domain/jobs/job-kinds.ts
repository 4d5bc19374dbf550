// Every kind of job: to add one, write its file beside this one and a line here.
import { compactionJob } from './compaction-job.ts';
import { datasetBuildJob } from './dataset-build-job.ts';
import type { JobKind } from './job-kind.ts';
import { offlineReplayJob } from './offline-replay-job.ts';
import { promotionCheckJob } from './promotion-check-job.ts';
import { reconcileJob } from './reconcile-job.ts';
import { trainingJob } from './training-job.ts';
import { upkeepJob } from './upkeep-job.ts';

export const jobKinds: readonly JobKind[] = [
  datasetBuildJob,
  trainingJob,
  offlineReplayJob,
  compactionJob,
  reconcileJob,
  upkeepJob,
  promotionCheckJob,
];

export const jobKindNames: readonly string[] = jobKinds.map(({ name }) => name);

export function findJobKind(name: string): JobKind | null {
  return jobKinds.find((kind) => kind.name === name) ?? null;
}
