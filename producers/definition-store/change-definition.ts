// Changes of definitions by the rules of the domain, in the caller's transaction: apply a whole definition, set coverage, run a command.
import { parseBasisPoints } from '#domain/assignment/basis-points.ts';
import type { DefinitionBody, DefinitionFieldProblem } from '#domain/definitions/definition-body.ts';
import { capAtStart, planDefinition, toFieldProblems } from '#domain/definitions/plan-definition.ts';
import { type DefinitionChange, diffDefinitions } from '#domain/experiment/definition-diff.ts';
import { planEdit } from '#domain/experiment/edit-rules.ts';
import { type Experiment, policyVersionIdIn } from '#domain/experiment/experiment.ts';
import { type LifecycleCommand, planLifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { listLayerConflicts } from '#domain/experiment/validate-experiment.ts';
import { type Connection, listDefinitions, listIterations, selectCurrentIteration } from './definition-rows.ts';
import { readProductionRecord } from './policy-rows.ts';
import { type ChangeAuthor, saveExperiment } from './save-experiment.ts';

/** What became of a change. Only `created` and `changed` wrote anything. */
export type ChangeResult =
  | {
      readonly status: 'created' | 'changed' | 'unchanged';
      readonly experiment: Experiment;
      readonly changes: readonly DefinitionChange[];
      /** What was done otherwise than asked, and why. */
      readonly notes: readonly string[];
    }
  /** The request itself is wrong. */
  | { readonly status: 'invalid'; readonly problems: readonly DefinitionFieldProblem[] }
  /** The request is well-formed, and the state of the experiment forbids it. */
  | { readonly status: 'refused'; readonly problems: readonly DefinitionFieldProblem[] }
  | { readonly status: 'stale'; readonly version: number }
  | { readonly status: 'unknown' };

type Plan =
  | { readonly status: 'unchanged' }
  | {
      readonly status: 'allowed';
      readonly next: Experiment;
      readonly changes?: readonly DefinitionChange[];
      readonly notes?: readonly string[];
    }
  | { readonly status: 'refused'; readonly problems: readonly DefinitionFieldProblem[] };

const refused = (field: string, message: string) => ({ status: 'refused' as const, problems: [{ field, message }] });

/** One writer per key at a time, also before the first row of the key exists. Held until the transaction ends. */
async function lockKey(tx: Connection, key: string): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('experiment/' || $1, 0))", [key]);
}

async function findReferenceProblems(tx: Connection, experiment: Experiment): Promise<DefinitionFieldProblem[]> {
  const references = experiment.variants.flatMap(({ config }, index) => {
    const id = policyVersionIdIn(config);
    return id === null ? [] : [{ id, field: `variants[${index}].config.policy_version_id` }];
  });
  if (references.length === 0) return [];
  const { rows } = await tx.query<{ id: string }>('SELECT id FROM exp.policy_versions WHERE id = ANY($1::uuid[])', [
    references.map(({ id }) => id),
  ]);
  const known = new Set(rows.map(({ id }) => id));
  return references
    .filter(({ id }) => !known.has(id.toLowerCase()))
    .map(({ id, field }) => ({ field, message: `there is no policy version ${id}` }));
}

/** Two experiments of one layer never share a unit: checked over all keys, under one lock for all layers. */
async function findLayerProblems(tx: Connection, experiment: Experiment): Promise<DefinitionFieldProblem[]> {
  if (experiment.layer === null) return [];
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('layers', 0))");
  const others = (await listDefinitions(tx)).map((stored) => stored.experiment);
  const conflicts = listLayerConflicts(experiment, others);
  return conflicts.length === 0
    ? []
    : [{ field: 'layer', message: `the range overlaps that of ${conflicts.join(', ')} in the same layer` }];
}

/**
 * Creates or edits an experiment so that it is as the body says. Repeating a body changes nothing. What the body leaves out of
 * status and coverage stays as it is; everything else that it leaves out gets its default.
 */
export async function applyDefinition(
  tx: Connection,
  body: DefinitionBody,
  author: ChangeAuthor,
): Promise<ChangeResult> {
  await lockKey(tx, body.key);
  const iterations = (await listIterations(tx, body.key)).map(({ experiment }) => experiment);
  const named = body.variants.flatMap(({ config }) => config?.policy_version_id ?? []);
  const plan = planDefinition(body, iterations, await readProductionRecord(tx, named));
  if (plan.status === 'invalid' || plan.status === 'refused') return plan;
  const { current, notes } = plan;
  if (plan.status === 'unchanged') return { status: 'unchanged', experiment: plan.current, changes: [], notes };
  const { next, changes } = plan;
  const unknownReferences = await findReferenceProblems(tx, next);
  if (unknownReferences.length > 0) return { status: 'invalid', problems: unknownReferences };
  const layerProblems = await findLayerProblems(tx, next);
  if (layerProblems.length > 0) return { status: 'refused', problems: layerProblems };
  const action = current === null ? 'experiment.create' : 'experiment.edit';
  const saved = await saveExperiment(tx, { current, next, action, changes, author });
  if (!saved) return { status: 'stale', version: current?.version ?? 0 };
  return { status: current === null ? 'created' : 'changed', experiment: next, changes, notes };
}

type Target = { readonly keyOrId: string; readonly expectedVersion: number; readonly author: ChangeAuthor };

/** Plans and saves a change of one experiment if it still has the version that the caller has seen (compare-and-set). */
async function changeCurrent(
  tx: Connection,
  { keyOrId, expectedVersion, author }: Target,
  action: string,
  planChange: (current: Experiment) => Plan | Promise<Plan>,
): Promise<ChangeResult> {
  const findCurrent = async (): Promise<Experiment | null> =>
    selectCurrentIteration((await listIterations(tx, keyOrId)).map(({ experiment }) => experiment));
  const key = (await findCurrent())?.experimentKey;
  if (key === undefined) return { status: 'unknown' };
  await lockKey(tx, key);
  const current = await findCurrent();
  if (current === null) return { status: 'unknown' };
  if (current.version !== expectedVersion) return { status: 'stale', version: current.version };
  const plan = await planChange(current);
  if (plan.status === 'refused') return plan;
  if (plan.status === 'unchanged') return { status: 'unchanged', experiment: current, changes: [], notes: [] };
  const changes = plan.changes ?? diffDefinitions({ ...current, version: plan.next.version }, plan.next);
  const saved = await saveExperiment(tx, { current, next: plan.next, action, changes, author });
  if (!saved) return { status: 'stale', version: current.version };
  return { status: 'changed', experiment: plan.next, changes, notes: plan.notes ?? [] };
}

/** Sets the coverage; `coverage` is a share (0..1) with at most four decimals. */
export async function applyCoverage(tx: Connection, target: Target & { coverage: number }): Promise<ChangeResult> {
  const parsed = parseBasisPoints(target.coverage);
  if (parsed.status === 'refused') {
    return { status: 'invalid', problems: [{ field: 'coverage', message: parsed.message }] };
  }
  return changeCurrent(tx, target, 'experiment.coverage', (current) => {
    const plan = planEdit(current, { ...current, coverage: parsed.basisPoints });
    return plan.status === 'refused' ? { status: 'refused', problems: toFieldProblems(plan.problems) } : plan;
  });
}

/** Runs a lifecycle or serving command; `field` is the part of the request that a refusal is about. */
export async function applyLifecycleCommand(
  tx: Connection,
  target: Target & { field: string; commandFor: (current: Experiment) => LifecycleCommand | DefinitionFieldProblem },
): Promise<ChangeResult> {
  return changeCurrent(tx, target, 'experiment.transition', async (current) => {
    const command = target.commandFor(current);
    if ('message' in command) return { status: 'refused', problems: [command] };
    const plan = planLifecycleCommand(current, command);
    if (plan.status === 'refused') return refused(target.field, plan.message);
    if (plan.status === 'unchanged' || command.kind !== 'start') return plan;
    const named = plan.next.variants.flatMap(({ config }) => policyVersionIdIn(config) ?? []);
    const { experiment, notes } = capAtStart(plan.next, await readProductionRecord(tx, named));
    return { status: 'allowed', next: experiment, notes };
  });
}
