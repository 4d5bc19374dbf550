// A plan as people read it: one item per policy, policy version, metric and experiment, with what changes, or why not; pure.
import { formatBasisPoints } from '#domain/assignment/basis-points.ts';
import { toWireField } from '#domain/definitions/definition-body.ts';
import type { DefinedExperiment, DefinedPolicy, DefinitionSet } from '#domain/definitions/definition-set.ts';
import { formatPolicyVersion, type PolicyPlan } from '#domain/definitions/policy.ts';
import { formatProblem, type LocatedProblem } from '#domain/definitions/yaml-source.ts';
import type { DefinitionChange } from '#domain/experiment/definition-diff.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { ChangeResult } from '#producers/definition-store/change-definition.ts';
import type { MetricChange } from '#producers/definition-store/metric-rows.ts';

export type PlanAction = 'create' | 'change' | 'unchanged' | 'refuse';

export type PlanItem = {
  readonly kind: 'policy' | 'policy version' | 'metric' | 'experiment';
  readonly name: string;
  readonly action: PlanAction;
  readonly summary: string;
  readonly changes: readonly DefinitionChange[];
  readonly problems: readonly LocatedProblem[];
  readonly notes: readonly string[];
};

export const isRefused = ({ action }: PlanItem): boolean => action === 'refuse';

/** The items in the order in which they are carried out. `modelProblems` refuse the items that they are about. */
export function listPlanItems(
  set: DefinitionSet,
  effects: {
    readonly policies: readonly PolicyPlan[];
    readonly metrics: readonly MetricChange[];
    readonly experiments: readonly ChangeResult[];
  },
  modelProblems: readonly LocatedProblem[],
): PlanItem[] {
  const problemsWithin = (whole: LocatedProblem): LocatedProblem[] =>
    modelProblems.filter(
      ({ file, path }) => file === whole.file && (path === whole.path || path.startsWith(`${whole.path}.`)),
    );
  return [
    ...effects.policies.flatMap((plan, index) => toPolicyItems(plan, set.policies[index]!, problemsWithin)),
    ...effects.metrics.map(toMetricItem),
    ...effects.experiments.map((result, index) => toExperimentItem(result, set.experiments[index]!, problemsWithin)),
  ];
}

type ProblemsWithin = (whole: LocatedProblem) => LocatedProblem[];

function toPolicyItems(plan: PolicyPlan, defined: DefinedPolicy, problemsWithin: ProblemsWithin): PlanItem[] {
  const { policy, action, changes } = plan;
  const whole: PlanItem = { kind: 'policy', name: policy.name, action, summary: '', changes, problems: [], notes: [] };
  const versions = plan.versions.map((versionPlan, index): PlanItem => {
    const { version } = versionPlan;
    const problems =
      versionPlan.action === 'refuse'
        ? versionPlan.problems.map(({ field, message }) => defined.problemAt(`versions[${index}].${field}`, message))
        : problemsWithin(defined.problemAt(`versions[${index}]`, ''));
    return {
      kind: 'policy version',
      name: formatPolicyVersion(version),
      action: problems.length > 0 ? 'refuse' : versionPlan.action,
      summary: `MLflow model ${version.modelName} version ${version.modelVersion}`,
      changes: [],
      problems,
      notes: [],
    };
  });
  return [whole, ...versions];
}

function toMetricItem({ body, action, changes, usedBy }: MetricChange): PlanItem {
  return {
    kind: 'metric',
    name: body.name,
    action,
    summary: body.kind,
    changes,
    problems: [],
    notes: usedBy.length === 0 ? [] : [`changes the results of what runs already: ${usedBy.join(', ')}`],
  };
}

function toExperimentItem(
  result: ChangeResult,
  { body, problemAt }: DefinedExperiment,
  problemsWithin: ProblemsWithin,
): PlanItem {
  const named = `${body.key}${body.iteration === undefined ? '' : ` iteration ${body.iteration}`}`;
  const refuse = (problems: readonly LocatedProblem[]): PlanItem => ({
    kind: 'experiment',
    name: named,
    action: 'refuse',
    summary: '',
    changes: [],
    problems,
    notes: [],
  });
  switch (result.status) {
    case 'invalid':
    case 'refused':
    case 'unchecked':
      return refuse(result.problems.map(({ field, message }) => problemAt(field, message)));
    case 'stale':
    case 'unknown':
      return refuse([problemAt('key', 'was changed by somebody else at this moment: plan again')]);
    case 'created':
    case 'changed':
    case 'unchanged': {
      const { experiment, status, notes } = result;
      const modelProblems = status === 'unchanged' ? [] : problemsWithin(problemAt('', ''));
      if (modelProblems.length > 0) return refuse(modelProblems);
      return {
        kind: 'experiment',
        name: `${experiment.experimentKey} iteration ${experiment.iteration}`,
        action: status === 'created' ? 'create' : status === 'changed' ? 'change' : 'unchanged',
        summary: status === 'created' ? summarizeExperiment(experiment) : `version ${experiment.version}`,
        // What a new one is, its summary says.
        changes: status === 'changed' ? result.changes : [],
        problems: [],
        notes,
      };
    }
  }
}

function summarizeExperiment({ status, coverage, unitType, variants }: Experiment): string {
  const shares = variants.map(({ name, allocation }) => `${name} ${formatBasisPoints(allocation)}`);
  return `${status}, unit ${unitType}, coverage ${formatBasisPoints(coverage)}, ${shares.join(', ')}`;
}

const marks: Readonly<Record<PlanAction, string>> = { create: '+', change: '~', unchanged: '=', refuse: '!' };

/** The plan as text, one block per item; unchanged items take one line. */
export function formatPlan(items: readonly PlanItem[]): string {
  const count = (wanted: PlanAction): number => items.filter(({ action }) => action === wanted).length;
  const totals = `${count('create')} to create, ${count('change')} to change, ${count('unchanged')} unchanged, ${count('refuse')} refused`;
  return [`plan: ${totals}`, ...items.flatMap(formatItem)].join('\n');
}

function formatItem({ kind, name, action, summary, changes, problems, notes }: PlanItem): string[] {
  return [
    `  ${marks[action]} ${action} ${kind} ${name}${summary === '' ? '' : ` (${summary})`}`,
    ...changes.map((change) => `      ${formatChange(change)}`),
    ...problems.map((problem) => `      ${formatProblem(problem)}`),
    ...notes.map((note) => `      note: ${note}`),
  ];
}

const sharePath = /^(coverage|variants\[\d+\]\.allocation|layer\.(start|end)|holdout\.share)$/;

/** One change in shares as people write them. */
export function formatChange({ path, before, after }: DefinitionChange): string {
  const show = (value: unknown): string => {
    if (value === undefined) return 'nothing';
    if (typeof value === 'number' && sharePath.test(path)) return formatBasisPoints(value);
    return JSON.stringify(value);
  };
  return `${toWireField(path)}: ${show(before)} -> ${show(after)}`;
}
