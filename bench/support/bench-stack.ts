// A deployed stack of a benchmark run's own: real components on free ports, gone afterwards, with an experiment to send events for.

import type { LocalStack } from '#infra/local/stack.ts';
import { deployLocally } from '#infra/system/bring-up.ts';
import { createKafka, type Kafka } from '#platform/kafka/kafka-client.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { startTemporaryStack } from '#tests/support/temporary-stack.ts';
import { benchExperiment } from './workload.ts';

export type BenchStack = {
  readonly stack: LocalStack;
  readonly kafka: Kafka;
  /** As superuser: for preparing and watching, never for what is measured. */
  readonly pool: Pool;
};

/** Starts and deploys it; everything is on `resources` and goes with them. */
export async function startBenchStack(
  resources: AsyncDisposableStack,
  onProgress: (text: string) => void,
): Promise<BenchStack> {
  const stack = resources.use(await startTemporaryStack());
  onProgress(`stack started in ${stack.localDir}`);
  await deployLocally(stack.endpoints);
  const pool = createPostgresPool({
    url: stack.endpoints.postgres.superuserUrl,
    poolSize: 4,
    applicationName: 'bench',
    statementTimeoutMs: 300_000,
  });
  resources.defer(() => pool.end());
  await pool.query(
    `INSERT INTO exp.experiments (id, key, name, status, unit_type) VALUES ($1, $2, $2, 'running', 'household')`,
    [benchExperiment.id, benchExperiment.key],
  );
  for (const [position, variant] of benchExperiment.variants.entries()) {
    await pool.query(
      `INSERT INTO exp.variants (id, experiment_id, name, allocation, is_control, position) VALUES ($1, $2, $3, 5000, $4, $5)`,
      [variant.id, benchExperiment.id, variant.name, position === 0, position],
    );
  }
  const kafka = createKafka({
    brokers: stack.endpoints.kafka.brokers,
    ssl: false,
    username: undefined,
    password: undefined,
    clientId: 'bench',
    log: createSilentLogger(),
  });
  return { stack, kafka, pool };
}
