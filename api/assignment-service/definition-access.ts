// The port of the experiment routes to stored definitions, and its implementation in Postgres: one transaction per change.

import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { ModelStages } from '#platform/mlflow/model-stages.ts';
import { inTransaction, type Pool, type PoolClient } from '#platform/postgres/pool.ts';
import {
  applyCoverage,
  applyDefinition,
  applyLifecycleCommand,
  type ChangeResult,
} from '#producers/definition-store/change-definition.ts';
import { listDefinitions, listIterations } from '#producers/definition-store/definition-rows.ts';
import type { LiveDefinitions } from '#producers/definition-store/live-definitions.ts';
import type { ModelCheck } from '#producers/definition-store/model-check.ts';
import type { ChangeAuthor } from '#producers/definition-store/save-experiment.ts';
import { alignAfterDelivery, describeAlignment } from '#producers/promotion-store/align-models.ts';

type CommandTarget = Parameters<typeof applyLifecycleCommand>[1];
type CoverageTarget = Parameters<typeof applyCoverage>[1];

export type ExperimentFilter = { readonly status?: Experiment['status']; readonly unitType?: string };

/** Changes are in force on this instance when they are answered, and on the others within milliseconds. */
export type DefinitionAccess = {
  apply(body: DefinitionBody, author: ChangeAuthor, options: { expectedVersion?: number }): Promise<ChangeResult>;
  changeCoverage(target: CoverageTarget): Promise<ChangeResult>;
  runCommand(target: Omit<CommandTarget, 'checkModels'>): Promise<ChangeResult>;
  list(filter: ExperimentFilter): Promise<Experiment[]>;
  /** Every iteration of a key, or the one with this id, oldest first. */
  listIterations(keyOrId: string): Promise<Experiment[]>;
};

export function createDefinitionAccess(deps: {
  pool: Pool;
  live: Pick<LiveDefinitions, 'refresh'>;
  /** There are new rows in the outbox of definitions. */
  onChanged: () => void;
  checkModels: ModelCheck;
  /** Null without MLFLOW_URL. */
  stages: ModelStages | null;
}): DefinitionAccess {
  const { checkModels, pool, stages } = deps;
  const change = async (work: (tx: PoolClient) => Promise<ChangeResult>): Promise<ChangeResult> => {
    const result = await inTransaction(pool, work);
    if (result.status === 'created' || result.status === 'changed') {
      deps.onChanged();
      await deps.live.refresh();
    }
    return result;
  };
  return {
    apply: (body, author, { expectedVersion }) =>
      change((tx) => applyDefinition(tx, body, author, { expectedVersion, checkModels })),
    changeCoverage: (target) => change((tx) => applyCoverage(tx, target)),
    runCommand: async (target) => {
      const result = await change((tx) => applyLifecycleCommand(tx, { ...target, checkModels }));
      const mlflow = await alignAfterDelivery(pool, stages, result);
      const note = mlflow === null ? null : describeAlignment(mlflow);
      return note === null || !('notes' in result) ? result : { ...result, notes: [...result.notes, note] };
    },
    list: async ({ status, unitType }) =>
      (await listDefinitions(pool))
        .map(({ experiment }) => experiment)
        .filter((experiment) => status === undefined || experiment.status === status)
        .filter((experiment) => unitType === undefined || experiment.unitType === unitType),
    listIterations: async (keyOrId) => (await listIterations(pool, keyOrId)).map(({ experiment }) => experiment),
  };
}
