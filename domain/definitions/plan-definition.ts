// What becomes of an experiment when a definition of it is applied: created, changed, left as it is, or refused, and why.
import { formatBasisPoints } from '#domain/assignment/basis-points.ts';
import { type DefinitionChange, diffDefinitions } from '#domain/experiment/definition-diff.ts';
import { planEdit, planIteration } from '#domain/experiment/edit-rules.ts';
import { type Experiment, policyVersionIdIn } from '#domain/experiment/experiment.ts';
import { planLifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { capStartingCoverage, STARTING_SHARE_LIMIT } from '#domain/experiment/traffic-share.ts';
import {
  type DefinitionBody,
  type DefinitionDefaults,
  type DefinitionFieldProblem,
  parseDefinition,
  toWireField,
} from './definition-body.ts';

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

/** What is known of the policy versions that variants point at. */
export type ProductionRecord = {
  hasBeenInProduction(policyVersionId: string): boolean;
  /** For people, such as `planner@2`. */
  nameOf(policyVersionId: string): string;
};

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

/** Lowers the coverage of a draft that starts to where no new policy version gets more than a tenth of traffic. */
export function capAtStart(
  draft: Experiment,
  production: ProductionRecord,
): { readonly experiment: Experiment; readonly notes: readonly string[] } {
  return capCoverage(draft, null, production);
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

/**
 * A definition never gives a policy version that was not in production more than it may start with: beyond that, coverage is raised
 * step by step, by command. What an experiment that runs has already been raised to stays.
 */
function capCoverage(
  wanted: Experiment,
  current: Experiment | null,
  production: ProductionRecord,
): { experiment: Experiment; notes: readonly string[] } {
  const reached = current !== null && current.status !== 'draft' ? current.coverage : 0;
  const { coverage: limit, cappedBy } = capStartingCoverage(wanted, (id) => production.hasBeenInProduction(id));
  const coverage = Math.max(limit, Math.min(reached, wanted.coverage));
  if (coverage === wanted.coverage) return { experiment: wanted, notes: [] };
  const shares = cappedBy.map(({ policyVersionId, trafficShare }) => {
    const names = wanted.variants
      .filter(({ config }) => policyVersionIdIn(config) === policyVersionId)
      .map(({ name }) => name);
    return `${production.nameOf(policyVersionId)} (${names.join(', ')}) would get ${formatShare(trafficShare)} of traffic`;
  });
  const note =
    `coverage ${reached > 0 ? 'stays' : 'starts'} at ${formatBasisPoints(coverage)} instead of ${formatBasisPoints(wanted.coverage)}: ` +
    `${shares.join('; ')}, and a policy version that has not been in production starts at no more than ` +
    `${formatBasisPoints(STARTING_SHARE_LIMIT)}. Raise it with \`ops experiments coverage\``;
  return { experiment: { ...wanted, coverage }, notes: [note] };
}

const formatShare = (share: number): string => String(Number(share.toFixed(4)));

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
