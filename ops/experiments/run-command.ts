// Runs one lifecycle or coverage command on an experiment by compare-and-set, and says what became of it.
import type { DefinitionFieldProblem } from '#domain/definitions/definition-body.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { LifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { FatalError } from '#platform/errors.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import {
  applyCoverage,
  applyLifecycleCommand,
  type ChangeResult,
} from '#producers/definition-store/change-definition.ts';
import { listIterations, selectCurrentIteration } from '#producers/definition-store/definition-rows.ts';
import { createModelCheck } from '#producers/definition-store/model-check.ts';
import type { ChangeAuthor } from '#producers/definition-store/save-experiment.ts';
import { type Alignment, alignAfterDelivery } from '#producers/promotion-store/align-models.ts';
import type { Definitions } from '../apply/open-definitions.ts';

export type ExperimentCommand =
  | { readonly kind: 'start' | 'pause' | 'resume' | 'archive' | 'rollback' | 'restore' }
  | { readonly kind: 'promote'; readonly variant: string }
  | { readonly kind: 'complete'; readonly winner: string | null }
  | { readonly kind: 'coverage'; readonly share: number };

export type CommandTarget = {
  /** Key of the current iteration, or the id of any. */
  readonly keyOrId: string;
  /** The version that the caller has seen; the present one when absent. */
  readonly expectedVersion?: number;
  readonly author: ChangeAuthor;
};

const refusal = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });

/**
 * What the experiment was and is, and how MLflow stands where a policy version is delivered to all.
 * @throws FatalError with the reason when the command is refused.
 */
export async function runExperimentCommand(
  { pool, models, stages }: Definitions,
  target: CommandTarget,
  command: ExperimentCommand,
): Promise<{ before: Experiment; after: Experiment; notes: readonly string[]; mlflow: Alignment | null }> {
  const { keyOrId, author } = target;
  const before = selectCurrentIteration((await listIterations(pool, keyOrId)).map(({ experiment }) => experiment));
  if (before === null) throw refusal(`there is no experiment ${keyOrId}`);
  const expectedVersion = target.expectedVersion ?? before.version;
  const seen = { keyOrId, expectedVersion, author };
  const result = await inTransaction(pool, (tx) =>
    command.kind === 'coverage'
      ? applyCoverage(tx, { ...seen, coverage: command.share })
      : applyLifecycleCommand(tx, {
          ...seen,
          field: command.kind,
          checkModels: createModelCheck(models),
          commandFor: (current) => toLifecycleCommand(current, command),
        }),
  );
  const changed = unwrap(result, keyOrId, expectedVersion);
  return { before, ...changed, mlflow: await alignAfterDelivery(pool, stages, result) };
}

function unwrap(
  result: ChangeResult,
  keyOrId: string,
  expectedVersion: number,
): { after: Experiment; notes: readonly string[] } {
  switch (result.status) {
    case 'created':
    case 'changed':
    case 'unchanged':
      return { after: result.experiment, notes: result.notes };
    case 'invalid':
    case 'refused':
    case 'unchecked':
      throw refusal(result.problems.map(({ message }) => message).join('; '));
    case 'stale':
      throw refusal(
        `experiment ${keyOrId} is at version ${result.version}, not ${expectedVersion}: look at it again and decide again`,
      );
    case 'unknown':
      throw refusal(`there is no experiment ${keyOrId}`);
  }
}

function toLifecycleCommand(
  current: Experiment,
  command: Exclude<ExperimentCommand, { kind: 'coverage' }>,
): LifecycleCommand | DefinitionFieldProblem {
  const wanted = command.kind === 'promote' ? command.variant : command.kind === 'complete' ? command.winner : null;
  const variant = current.variants.find(({ name, variantId }) => name === wanted || variantId === wanted);
  if (wanted !== null && variant === undefined) {
    const names = current.variants.map(({ name }) => name).join(', ');
    return {
      field: command.kind,
      message: `experiment ${current.experimentKey} has no variant ${wanted}; it has ${names}`,
    };
  }
  if (command.kind === 'complete') return { kind: 'complete', winner: variant?.variantId ?? null };
  if (command.kind !== 'promote') return { kind: command.kind };
  return variant === undefined
    ? { field: 'promote', message: 'which variant?' }
    : { kind: 'promote', variantId: variant.variantId };
}
