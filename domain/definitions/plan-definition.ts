// What becomes of an experiment when a definition of it is applied: created, changed, left as it is, or refused, and why.
import { type DefinitionChange, diffDefinitions } from '#domain/experiment/definition-diff.ts';
import { planEdit, planIteration } from '#domain/experiment/edit-rules.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { planLifecycleCommand } from '#domain/experiment/lifecycle.ts';
import {
  type DefinitionBody,
  type DefinitionDefaults,
  type DefinitionFieldProblem,
  parseDefinition,
  toWireField,
} from './definition-body.ts';
import { capCoverage, type ProductionRecord } from './start-limit.ts';

export type DefinitionPlan =
  | {
      readonly status: 'allowed';
      /** Null when the iteration is new. */
      readonly current: Experiment | null;
      readonly next: Experiment;
      readonly changes: readonly DefinitionChange[];
      readonly notes: readonly string[];
    }
  | { readonly status: 'unchanged'; readonly current: Experiment; readonly notes: readonly string[] }
  /** The definition in itself is wrong. */
  | { readonly status: 'invalid'; readonly problems: readonly DefinitionFieldProblem[] }
  /** The definition is well-formed, and the state of the experiment forbids it. */
  | { readonly status: 'refused'; readonly problems: readonly DefinitionFieldProblem[] };

/**
 * Plans a definition against every iteration of its key, oldest first. Repeating a definition is `unchanged`. What the body leaves
 * out of status and coverage stays as it is; everything else that it leaves out gets its default.
 */
export function planDefinition(
  body: DefinitionBody,
  iterations: readonly Experiment[],
  production: ProductionRecord,
): DefinitionPlan {
  const latest = iterations.at(-1);
  const number = body.iteration ?? latest?.iteration ?? 1;
  const current = iterations.find(({ iteration }) => iteration === number) ?? null;
  const parsed = parseDefinition(body, defaultsOf(current, number));
  if (!parsed.ok) return { status: 'invalid', problems: parsed.problems };
  const { experiment: wanted, notes } = capCoverage(parsed.experiment, current, production);
  if (current !== null) return planChange(body, current, wanted, notes);
  let base = wanted;
  if (latest !== undefined) {
    const plan = planIteration(latest, wanted);
    if (plan.status === 'refused') return { status: 'refused', problems: toFieldProblems(plan.problems) };
    base = plan.status === 'allowed' ? plan.next : wanted;
  }
  const next = withStatus(base, body.status);
  return { status: 'allowed', current: null, next, changes: diffDefinitions(latest ?? {}, next), notes };
}

export function toFieldProblems(
  problems: readonly { readonly path: string; readonly message: string }[],
): DefinitionFieldProblem[] {
  return problems.map(({ path, message }) => ({ field: toWireField(path), message }));
}

function defaultsOf(current: Experiment | null, iteration: number): DefinitionDefaults {
  return {
    iteration,
    version: current?.version ?? 1,
    status: current?.status ?? 'draft',
    serving: current?.serving ?? { mode: 'as_assigned' },
    coverage: current?.coverage ?? 10_000,
    storeRequired: current?.storeRequired ?? false,
  };
}

/** A definition starts a draft and does no more: later changes of status are transitions, which repeating it never undoes. */
function withStatus(planned: Experiment, wanted: DefinitionBody['status']): Experiment {
  if (wanted !== 'running' || planned.status !== 'draft') return planned;
  const plan = planLifecycleCommand(planned, { kind: 'start' });
  // Part of the same change: one version, not two.
  return plan.status === 'allowed' ? { ...plan.next, version: planned.version } : planned;
}

function planChange(
  body: DefinitionBody,
  current: Experiment,
  wanted: Experiment,
  notes: readonly string[],
): DefinitionPlan {
  const edit = planEdit(current, wanted);
  if (edit.status === 'refused') return { status: 'refused', problems: toFieldProblems(edit.problems) };
  const base = edit.status === 'allowed' ? edit.next : { ...current, version: current.version + 1 };
  const next = withStatus(base, body.status);
  const changes = diffDefinitions({ ...current, version: next.version }, next);
  return changes.length === 0
    ? { status: 'unchanged', current, notes }
    : { status: 'allowed', current, next, changes, notes };
}
