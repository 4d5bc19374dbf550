// What a requested status or serving mode means as a command of the experiment's lifecycle.
import type { Experiment, Variant } from '#domain/experiment/experiment.ts';
import type { LifecycleCommand } from '#domain/experiment/lifecycle.ts';
import type { FieldProblem } from './request-error.ts';
import type { ServingChange, Transition } from './wire-schemas.ts';

function findVariant({ variants }: Experiment, nameOrId: string): Variant | undefined {
  return (
    variants.find(({ name }) => name === nameOrId) ??
    variants.find(({ variantId }) => variantId === nameOrId.toLowerCase())
  );
}

const noVariant = (field: string, { experimentKey }: Experiment, nameOrId: string): FieldProblem => ({
  field,
  message: `experiment ${experimentKey} has no variant ${nameOrId}`,
});

/** The command that brings the experiment to the wanted status, or what is wrong with asking for it. */
export function commandForTransition(current: Experiment, { to, winner }: Transition): LifecycleCommand | FieldProblem {
  if (winner !== undefined && to !== 'completed') {
    return { field: 'winner', message: 'only a completion names a winner' };
  }
  switch (to) {
    case 'running':
      return { kind: current.status === 'draft' ? 'start' : 'resume' };
    case 'paused':
      return { kind: 'pause' };
    case 'archived':
      return { kind: 'archive' };
    case 'completed': {
      if (winner === undefined) return { kind: 'complete', winner: null };
      const variant = findVariant(current, winner);
      return variant === undefined
        ? noVariant('winner', current, winner)
        : { kind: 'complete', winner: variant.variantId };
    }
  }
}

/** The command that brings the experiment to the wanted serving, or what is wrong with asking for it. */
export function commandForServing(
  current: Experiment,
  { mode, variant }: ServingChange,
): LifecycleCommand | FieldProblem {
  if (mode !== 'all_to') {
    if (variant !== undefined) return { field: 'variant', message: 'only all_to names a variant' };
    return { kind: mode === 'off' ? 'rollback' : 'restore' };
  }
  if (variant === undefined) return { field: 'variant', message: 'all_to needs the variant that everybody gets' };
  const found = findVariant(current, variant);
  return found === undefined ? noVariant('variant', current, variant) : { kind: 'promote', variantId: found.variantId };
}
