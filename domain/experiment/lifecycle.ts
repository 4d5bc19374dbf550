// Which lifecycle and serving commands an experiment accepts, and what it becomes.
//
//   draft ──start──> running ──pause──> paused ──resume──> running
//     │                 └──────complete──────┴──> completed ──archive──> archived
//     └──archive──> archived
//
// `pause` stops enrolment and leaves delivery; `rollback` stops delivery and leaves enrolment; `restore` undoes a rollback
// or a promotion; `halt` stops both at once, as a broken guardrail does; `promote` delivers one variant to all. Completing decides what is delivered from then on.

import type { Experiment, ExperimentStatus, Serving } from './experiment.ts';
import type { VariantId } from './ids.ts';

export type LifecycleCommand =
  | { readonly kind: 'start' | 'pause' | 'resume' | 'archive' | 'rollback' | 'restore' | 'halt' }
  | { readonly kind: 'promote'; readonly variantId: VariantId }
  /** Without a winner, what is delivered to all already stays; else nothing is delivered any more and callers get their default. */
  | { readonly kind: 'complete'; readonly winner: VariantId | null };

type CommandKind = LifecycleCommand['kind'];

export type LifecyclePlan =
  | { readonly status: 'allowed'; readonly next: Experiment }
  | { readonly status: 'unchanged' }
  | { readonly status: 'refused'; readonly message: string };

const allowedFrom: Readonly<Record<CommandKind, readonly ExperimentStatus[]>> = {
  start: ['draft'],
  pause: ['running'],
  resume: ['paused'],
  complete: ['running', 'paused'],
  archive: ['draft', 'completed'],
  rollback: ['running', 'paused', 'completed'],
  restore: ['running', 'paused'],
  halt: ['running', 'paused'],
  promote: ['running', 'paused', 'completed'],
};

/** What to do instead, by status, when a command is refused. */
const advice: Readonly<Record<ExperimentStatus, string>> = {
  draft: 'start it first, or archive it to discard it',
  running: 'pause it to stop enrolment, roll it back to stop delivery, or complete it',
  paused: 'resume it to go on with enrolment, or complete it',
  completed: 'promote a variant, roll it back or archive it; to run it again, start a new iteration',
  archived: 'start a new iteration: it has a new id and carries no assignments',
};

/** Plans a command; a repeated command is `unchanged`. The caller stores `next` by compare-and-set on the version it planned from. */
export function planLifecycleCommand(experiment: Experiment, command: LifecycleCommand): LifecyclePlan {
  const { status, experimentKey, iteration } = experiment;
  const changed = { ...experiment, ...changesOf(command, experiment) };
  if (changed.status === status && sameServing(changed.serving, experiment.serving)) return { status: 'unchanged' };
  if (!allowedFrom[command.kind].includes(status)) {
    const name = `experiment ${experimentKey} (iteration ${iteration})`;
    return { status: 'refused', message: `cannot ${command.kind} ${name}: it is ${status}; ${advice[status]}` };
  }
  const variantId = changed.serving.mode === 'all_to' ? changed.serving.variantId : null;
  if (variantId !== null && !experiment.variants.some((variant) => variant.variantId === variantId)) {
    return { status: 'refused', message: `variant ${variantId} does not belong to experiment ${experimentKey}` };
  }
  return { status: 'allowed', next: { ...changed, version: experiment.version + 1 } };
}

function changesOf(
  command: LifecycleCommand,
  { serving }: Experiment,
): { status?: ExperimentStatus; serving: Serving } {
  switch (command.kind) {
    case 'start':
    case 'resume':
      return { status: 'running', serving };
    case 'pause':
      return { status: 'paused', serving };
    case 'archive':
      return { status: 'archived', serving };
    case 'rollback':
      return { serving: { mode: 'off' } };
    case 'halt':
      return { status: 'paused', serving: { mode: 'off' } };
    case 'restore':
      return { serving: { mode: 'as_assigned' } };
    case 'promote':
      return { serving: { mode: 'all_to', variantId: command.variantId } };
    case 'complete':
      return {
        status: 'completed',
        serving: command.winner === null ? servingAfter(serving) : { mode: 'all_to', variantId: command.winner },
      };
  }
}

const servingAfter = (serving: Serving): Serving => (serving.mode === 'all_to' ? serving : { mode: 'off' });

function sameServing(one: Serving, other: Serving): boolean {
  if (one.mode === 'all_to' && other.mode === 'all_to') return one.variantId === other.variantId;
  return one.mode === other.mode;
}
