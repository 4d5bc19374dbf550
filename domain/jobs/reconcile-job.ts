// The job that compares aggregates with a recount of the stored events and repairs them where asked to.
import type { JobKind } from './job-kind.ts';
import { choiceParameter, instantParameter } from './job-parameters.ts';

export const reconcileJob: JobKind = {
  name: 'reconcile',
  title: 'compare aggregates with a recount of the stored events; fails when they differ and are not to be repaired',
  parameters: {
    from: instantParameter('first hour of event time'),
    to: instantParameter('hour after the last one'),
    repair: choiceParameter('make the aggregates those of the recount (default: no)', ['yes', 'no']),
  },
  defaults: () => ({ repair: 'no' }),
  attempts: 3,
  program: ({ key, parameters: { from, to, repair } }) => ({
    entry: 'ops/main.ts',
    args: [
      ...['reconcile', '--json'],
      ...(from === undefined ? [] : ['--from', from]),
      ...(to === undefined ? [] : ['--to', to]),
      ...(repair === 'yes' ? ['--repair', '--yes', '--because', `job reconcile/${key}`] : []),
    ],
    settings: {},
  }),
};
