// Changes of definitions by the rules of the domain, in the caller's transaction: apply a whole definition, set coverage, run a command.
import { parseBasisPoints } from '#domain/assignment/basis-points.ts';
import {
  type DefinitionBody,
  type DefinitionFieldProblem,
  policyReferenceField,
} from '#domain/definitions/definition-body.ts';
import { planDefinition, toFieldProblems } from '#domain/definitions/plan-definition.ts';
import { resolvePolicyVersion } from '#domain/definitions/policy.ts';
import { capAtStart, findStartRefusal } from '#domain/definitions/start-limit.ts';
import { type DefinitionChange, diffDefinitions } from '#domain/experiment/definition-diff.ts';
import { planEdit } from '#domain/experiment/edit-rules.ts';
import { type Experiment, policyVersionIdIn } from '#domain/experiment/experiment.ts';
import type { VariantId } from '#domain/experiment/ids.ts';
import { type LifecycleCommand, planLifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { listLayerConflicts } from '#domain/experiment/validate-experiment.ts';
import { isMomentKind, type MetricDefinition } from '#domain/metrics/metric-definition.ts';
import { findUngatedVariants } from '../promotion-store/gate-check.ts';
import { recordRollBack } from '../promotion-store/promotion-ledger.ts';
import { findEditRefusal, findLifecycleRefusal } from '../promotion-store/promotion-refusal.ts';
import { type Connection, listDefinitions, listIterations, selectCurrentIteration } from './definition-rows.ts';
import { findLatchRefusal } from './guardrail-latch.ts';
import { readMetricDefinitions } from './metric-rows.ts';
import type { ModelCheck } from './model-check.ts';
import { readProductionRecord, recordDeliveryToAll } from './policy-rows.ts';
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
  /** MLflow could not be asked for the models that it needs: the same request may succeed later. */
  | { readonly status: 'unchecked'; readonly problems: readonly DefinitionFieldProblem[] }
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
  | { readonly status: 'invalid' | 'refused' | 'unchecked'; readonly problems: readonly DefinitionFieldProblem[] };

const refused = (field: string, message: string) => ({ status: 'refused' as const, problems: [{ field, message }] });

/** One writer per key at a time, also before the first row of the key exists. Held until the transaction ends. */
async function lockKey(tx: Connection, key: string): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('experiment/' || $1, 0))", [key]);
}

async function findReferenceProblems(tx: Connection, body: DefinitionBody): Promise<DefinitionFieldProblem[]> {
  const references = body.variants.flatMap(({ config }, index) => {
    const reference = config?.policy_version_id;
    const id = reference === undefined ? null : resolvePolicyVersion(reference);
    return reference === undefined || id === null ? [] : [{ reference, id, field: policyReferenceField(index) }];
  });
  if (references.length === 0) return [];
  const { rows } = await tx.query<{ id: string }>('SELECT id FROM exp.policy_versions WHERE id = ANY($1::uuid[])', [
    references.map(({ id }) => id),
  ]);
  const known = new Set(rows.map(({ id }) => id));
  return references
    .filter(({ id }) => !known.has(id))
    .map(({ reference, field }) => ({ field, message: `there is no policy version ${reference}` }));
}

/** A draft may change in any way, but assignments that were imported into it are stored for good. */
async function findRemovalProblems(
  tx: Connection,
  current: Experiment | null,
  next: Experiment,
): Promise<DefinitionFieldProblem[]> {
  const kept = new Set<string>(next.variants.map(({ variantId }) => variantId));
  const removed = current?.variants.filter(({ variantId }) => !kept.has(variantId)) ?? [];
  if (removed.length === 0) return [];
  const { rows } = await tx.query<{ variant_id: string; count: number }>(
    `SELECT variant_id, count(*)::integer AS count FROM exp.assignments WHERE experiment_id = $1 AND variant_id = ANY($2::uuid[])
     GROUP BY variant_id`,
    [next.experimentId, removed.map(({ variantId }) => variantId)],
  );
  return rows.map(({ variant_id: id, count }) => ({
    field: 'variants',
    message: `variant ${removed.find(({ variantId }) => variantId === id)?.name} cannot be removed: ${count} units are stored with it`,
  }));
}

/** Guardrails are watched every second, so they have to be among what the stream keeps per unit. */
function findGuardrailProblems(
  { metrics }: Experiment,
  definitions: ReadonlyMap<string, MetricDefinition>,
): DefinitionFieldProblem[] {
  return (metrics.guardrails ?? []).flatMap(({ metric }, index) => {
    const kind = definitions.get(metric)?.kind;
    if (kind === undefined || isMomentKind(kind)) return [];
    const message = `${metric} is a ${kind}, which is read from events and cannot be watched: take a mean, or a proportion above a limit`;
    return [{ field: `metrics.guardrails[${index}].metric`, message }];
  });
}

function describeUndefined({ metrics }: Experiment, definitions: ReadonlyMap<string, MetricDefinition>): string[] {
  const { primary, secondary = [], guardrails = [] } = metrics;
  const named = [primary ?? [], secondary, guardrails.map(({ metric }) => metric)].flat();
  return [...new Set(named)]
    .filter((name) => !definitions.has(name))
    .map((name) => `nobody has defined the metric ${name}: it is the average of ${name} over the events that carry it`);
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

export type ApplyOptions = {
  /** The version that the caller has seen, 0 when it has seen none; any when absent. */
  readonly expectedVersion?: number | undefined;
  /** Left out by whoever has checked the models already. */
  readonly checkModels?: ModelCheck;
  /** Given by a promotion, which has judged by the gate already. */
  readonly isGated?: boolean;
};

/**
 * Creates or edits an experiment so that it is as the body says. Repeating a body changes nothing. What the body leaves out of
 * status and coverage stays as it is; everything else that it leaves out gets its default.
 */
export async function applyDefinition(
  tx: Connection,
  body: DefinitionBody,
  author: ChangeAuthor,
  options: ApplyOptions = {},
): Promise<ChangeResult> {
  await lockKey(tx, body.key);
  const iterations = (await listIterations(tx, body.key)).map(({ experiment }) => experiment);
  const named = body.variants.flatMap(({ config }) => resolvePolicyVersion(config?.policy_version_id ?? '') ?? []);
  const plan = planDefinition(body, iterations, await readProductionRecord(tx, named));
  if (plan.status === 'invalid') return plan;
  const { expectedVersion } = options;
  const number = body.iteration ?? iterations.at(-1)?.iteration;
  const presentVersion = iterations.find(({ iteration }) => iteration === number)?.version ?? 0;
  if (expectedVersion !== undefined && expectedVersion !== presentVersion) {
    return { status: 'stale', version: presentVersion };
  }
  if (plan.status === 'refused') return plan;
  const { current } = plan;
  const promotion = plan.status === 'allowed' && current !== null ? await findEditRefusal(tx, current) : null;
  if (promotion !== null) return refused('key', promotion);
  const definitions = await readMetricDefinitions(tx);
  const defined = plan.status === 'unchanged' ? plan.current : plan.next;
  const notes = [...plan.notes, ...describeUndefined(defined, definitions)];
  if (plan.status === 'unchanged') return { status: 'unchanged', experiment: plan.current, changes: [], notes };
  const { next, changes } = plan;
  const wrongReferences = [...(await findReferenceProblems(tx, body)), ...findGuardrailProblems(next, definitions)];
  if (wrongReferences.length > 0) return { status: 'invalid', problems: wrongReferences };
  const models = await options.checkModels?.(tx, next);
  if (models !== undefined && models.status !== 'passed') return models;
  const starts = next.status === 'running' && (current === null || current.status === 'draft');
  const problems = [
    ...(starts && options.isGated !== true ? await findUngatedVariants(tx, next) : []),
    ...(await findRemovalProblems(tx, current, next)),
    ...(await findLayerProblems(tx, next)),
  ];
  if (problems.length > 0) return { status: 'refused', problems };
  const action = current === null ? 'experiment.create' : 'experiment.edit';
  const saved = await saveExperiment(tx, { current, next, action, changes, author });
  if (!saved) return { status: 'stale', version: current?.version ?? 0 };
  return { status: current === null ? 'created' : 'changed', experiment: next, changes, notes };
}

export type Target = { readonly keyOrId: string; readonly expectedVersion: number; readonly author: ChangeAuthor };

/** Plans and saves a change of one experiment if it still has the version that the caller has seen (compare-and-set). */
export async function changeCurrent(
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
  if (plan.status === 'unchanged') return { status: 'unchanged', experiment: current, changes: [], notes: [] };
  if (plan.status !== 'allowed') return plan;
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
  return changeCurrent(tx, target, 'experiment.coverage', async (current) => {
    const asked = { coverage: parsed.basisPoints };
    const plan = planEdit(current, { ...current, ...asked });
    if (plan.status === 'refused') return { status: 'refused', problems: toFieldProblems(plan.problems) };
    if (plan.status === 'unchanged') return plan;
    const refusal =
      (await findEditRefusal(tx, current)) ??
      (await findLatchRefusal(tx, current)) ??
      findStartRefusal(current, asked, await readProductionOf(tx, current), Date.now());
    return refusal === null ? plan : refused('coverage', refusal);
  });
}

const readProductionOf = (tx: Connection, { variants }: Experiment) =>
  readProductionRecord(
    tx,
    variants.flatMap(({ config }) => policyVersionIdIn(config) ?? []),
  );

/** Commands that would let units in or deliver again what a broken guardrail stopped. */
const latchedCommands: readonly LifecycleCommand['kind'][] = ['resume', 'restore', 'promote'];

/** Runs a lifecycle or serving command; `field` is the part of the request that a refusal is about. */
export async function applyLifecycleCommand(
  tx: Connection,
  target: Target & {
    field: string;
    commandFor: (current: Experiment) => LifecycleCommand | DefinitionFieldProblem;
    /** Asked when a draft starts. */
    checkModels: ModelCheck;
  },
): Promise<ChangeResult> {
  return changeCurrent(tx, target, 'experiment.transition', async (current) => {
    const command = target.commandFor(current);
    if ('message' in command) return { status: 'refused', problems: [command] };
    const plan = planLifecycleCommand(current, command);
    if (plan.status === 'refused') return refused(target.field, plan.message);
    if (plan.status === 'unchanged') return plan;
    const { serving } = plan.next;
    const latch =
      (await findLifecycleRefusal(tx, current, command)) ??
      (latchedCommands.includes(command.kind) ? await findLatchRefusal(tx, current) : null);
    if (latch !== null) return refused(target.field, latch);
    if (serving.mode === 'off') await recordRollBack(tx, plan.next, { author: target.author });
    if (command.kind === 'start') {
      const models = await target.checkModels(tx, plan.next);
      if (models.status !== 'passed') return models;
      const ungated = await findUngatedVariants(tx, plan.next);
      if (ungated.length > 0) return { status: 'refused', problems: ungated };
      const { experiment, notes } = capAtStart(plan.next, await readProductionOf(tx, plan.next));
      return { status: 'allowed', next: experiment, notes };
    }
    if (serving.mode !== 'all_to' || (command.kind !== 'promote' && command.kind !== 'complete')) return plan;
    const asked = { deliverToAll: serving.variantId };
    const refusal = findStartRefusal(current, asked, await readProductionOf(tx, current), Date.now());
    if (refusal !== null) return refused(target.field, refusal);
    const conflict = await recordPromotion(tx, plan.next, serving.variantId, target.author);
    return conflict === null ? plan : refused(target.field, conflict);
  });
}

async function recordPromotion(
  tx: Connection,
  experiment: Experiment,
  promoted: VariantId,
  author: ChangeAuthor,
): Promise<string | null> {
  const variant = experiment.variants.find(({ variantId }) => variantId === promoted);
  const policyVersionId = policyVersionIdIn(variant?.config ?? {});
  return policyVersionId === null ? null : recordDeliveryToAll(tx, { policyVersionId, experiment }, author);
}
