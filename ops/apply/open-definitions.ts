// Connections of the commands that read and write definitions, opened for the duration of one command.
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry, type ModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createModelStages, type ModelStages } from '#platform/mlflow/model-stages.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { type DefinitionsConfig, definitionsConfig } from './definitions-config.ts';

export type Definitions = {
  readonly pool: Pool;
  /** Null without MLFLOW_URL. */
  readonly models: ModelRegistry | null;
  readonly stages: ModelStages | null;
};

function openDefinitions(config: DefinitionsConfig): Definitions {
  const mlflow = config.mlflowUrl === undefined ? null : createMlflowClient({ url: config.mlflowUrl });
  return {
    pool: createPostgresPool({ ...config.postgres, poolSize: 2, applicationName: 'ops' }),
    models: mlflow === null ? null : createModelRegistry(mlflow),
    stages: mlflow === null ? null : createModelStages(mlflow),
  };
}

/** Opens the connections, does the work and closes them. */
export async function withDefinitions<T>(
  { settingsOf }: Pick<CommandLine, 'settingsOf'>,
  work: (definitions: Definitions) => Promise<T>,
): Promise<T> {
  const definitions = openDefinitions(settingsOf(definitionsConfig));
  try {
    return await work(definitions);
  } finally {
    await definitions.pool.end();
  }
}
