// One experiment in the words of the command line, with what the clock makes of its start and end; pure.
import { formatBasisPoints } from '#domain/assignment/basis-points.ts';
import { compileExperiment } from '#domain/experiment/compile-experiment.ts';
import { findClosedReason } from '#domain/experiment/evaluate.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';

/** Whether units are enrolled at this moment, and if not, why. */
export function describeEnrolment(experiment: Experiment, nowMs: number): string {
  const { startsAt, endsAt } = experiment;
  const reason = findClosedReason(compileExperiment(experiment), nowMs);
  if (reason === null) return endsAt === null ? 'open' : `open until ${endsAt}`;
  if (reason === 'not-started') return `opens at ${startsAt}`;
  return reason === 'ended' ? `ended at ${endsAt}` : 'closed';
}

export function describeServing({ serving, variants }: Experiment): string {
  if (serving.mode !== 'all_to') return serving.mode;
  const winner = variants.find(({ variantId }) => variantId === serving.variantId);
  return `all_to ${winner?.name ?? serving.variantId}`;
}

/** One line on what a command changed. */
export function describeTransition(before: Experiment, after: Experiment): string {
  const name = `${after.experimentKey} iteration ${after.iteration}`;
  if (before.version === after.version) return `${name}: unchanged, it is ${after.status} (version ${after.version})`;
  const parts: [string, string, string][] = [
    ['status', before.status, after.status],
    ['serving', describeServing(before), describeServing(after)],
    ['coverage', formatBasisPoints(before.coverage), formatBasisPoints(after.coverage)],
  ];
  const changed = parts.filter(([, from, to]) => from !== to).map(([what, from, to]) => `${what} ${from} -> ${to}`);
  return `${name}: ${changed.join(', ')} (version ${before.version} -> ${after.version})`;
}
