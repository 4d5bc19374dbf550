// The job that looks once at every promotion under way and takes the steps that are due.
import type { JobKind } from './job-kind.ts';

export const promotionCheckJob: JobKind = {
  name: 'promotion-check',
  title: 'one look at every promotion: takes the step that is due, brings MLflow in line; run it every few minutes',
  parameters: {},
  defaults: () => ({}),
  attempts: 5,
  program: () => ({ entry: 'ops/main.ts', args: ['promote', 'check', '--json'], settings: {} }),
};
