// The job that compacts closed hours of the archive.
import type { JobKind } from './job-kind.ts';

export const compactionJob: JobKind = {
  name: 'compaction',
  title: 'one sorted file per closed hour of the archive, erased units out, replaced objects removed',
  parameters: {},
  defaults: () => ({}),
  attempts: 5,
  program: () => ({ entry: 'workers/compaction/main.ts', args: [], settings: {} }),
};
