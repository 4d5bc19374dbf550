// Which edits of a definition are allowed in which state, and what to do instead of a refused one.

import { formatBasisPoints } from '#domain/assignment/basis-points.ts';
import { type DefinitionChange, diffDefinitions } from './definition-diff.ts';
import type { Experiment } from './experiment.ts';

export type EditProblem = { readonly path: string; readonly message: string };

export type EditPlan =
  | { readonly status: 'unchanged' }
  | { readonly status: 'allowed'; readonly next: Experiment; readonly changes: readonly DefinitionChange[] }
  | { readonly status: 'refused'; readonly problems: readonly EditProblem[] };

type Field = keyof Experiment;

/** Given by the key and the iteration, or changed by commands only; `version` is counted here. */
const identityFields: readonly Field[] = ['experimentId', 'experimentKey', 'iteration'];
const commandFields: readonly Field[] = ['status', 'serving'];
const descriptiveFields: readonly Field[] = ['name', 'hypothesis', 'owner'];
/** Changing these moves no unit to another variant and lets nobody enter who could not before. */
const operationalFields: readonly Field[] = [
  ...descriptiveFields,
  'metrics',
  'endsAt',
  'ramp',
  'forcedVariants',
  'storeRequired',
];

/** Plans an edit within an iteration; the caller stores `next` by compare-and-set on the version it planned from. */
export function planEdit(current: Experiment, edited: Experiment): EditPlan {
  const next = { ...edited, version: current.version + 1 };
  const changes = diffDefinitions({ ...current, version: next.version }, next);
  if (changes.length === 0) return { status: 'unchanged' };
  const problems = changes.flatMap((change) => {
    const message = findRefusal(current, edited, fieldOf(change));
    return message === null ? [] : [{ path: change.path, message }];
  });
  return problems.length > 0 ? { status: 'refused', problems } : { status: 'allowed', next, changes };
}

/** Plans the restart of an experiment as its next iteration, which randomizes anew. */
export function planIteration(latest: Experiment, restarted: Experiment): EditPlan {
  const expected = latest.iteration + 1;
  const problem = (message: string): EditPlan => ({ status: 'refused', problems: [{ path: 'iteration', message }] });
  if (restarted.iteration !== expected) {
    return problem(`the next iteration of ${latest.experimentKey} is ${expected}, not ${restarted.iteration}`);
  }
  if (latest.status === 'draft') {
    return problem(`iteration ${latest.iteration} is still a draft: edit it, or archive it first`);
  }
  if (latest.status === 'running' || latest.status === 'paused') {
    return problem(
      `iteration ${latest.iteration} is ${latest.status}: complete it first, as one key serves one iteration`,
    );
  }
  const next = { ...restarted, version: 1, status: 'draft' as const, serving: { mode: 'as_assigned' as const } };
  return { status: 'allowed', next, changes: diffDefinitions(latest, next) };
}

function fieldOf({ path }: DefinitionChange): Field {
  return path.split(/[.[]/, 1)[0] as Field;
}

function findRefusal(current: Experiment, edited: Experiment, field: Field): string | null {
  const { status, iteration } = current;
  if (identityFields.includes(field)) return `${field} identifies the iteration and cannot be edited`;
  if (commandFields.includes(field))
    return `${field} is not edited but changed by a lifecycle command, such as pause or rollback`;
  if (status === 'draft') return null;
  if (status === 'archived') return 'the experiment is archived: start a new iteration';
  if (status === 'completed') {
    return descriptiveFields.includes(field) ? null : 'the experiment is completed: start a new iteration to change it';
  }
  if (operationalFields.includes(field)) return null;
  if (field === 'coverage') return findCoverageRefusal(current.coverage, edited.coverage);
  return (
    `${field === 'variants' ? 'variants are' : `${field} is`} frozen while the experiment is ${status}, because results and stored assignments depend on it: ` +
    `complete this iteration and apply the change with \`iteration: ${iteration + 1}\`, ` +
    'which has a new id and a new randomization and carries no assignments over'
  );
}

function findCoverageRefusal(current: number, edited: number): string | null {
  if (edited >= current) return null;
  return (
    `coverage may only grow (${formatBasisPoints(current)} to ${formatBasisPoints(edited)}): ` +
    'pause to enroll nobody else, or roll back to stop delivery'
  );
}
