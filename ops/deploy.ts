// Brings an environment to this release: migrations, login of the process roles, topics, schemas. Safe to repeat.
import { fileURLToPath } from 'node:url';
import type { SettingsOf } from '#platform/config/settings.ts';
import { FatalError } from '#platform/errors.ts';
import { createKafka } from '#platform/kafka/kafka-client.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { applyTopics } from '#platform/kafka/topic-admin.ts';
import { listMigrations, migrate } from '#platform/postgres/migrate.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace, type Topic, topics, valueSubject } from '#schemas/topics.ts';
import type { deployConfig } from './deploy-config.ts';

type DeployConfig = SettingsOf<(typeof deployConfig)['shape']>;

const migrationsFolder = fileURLToPath(new URL('../migrations', import.meta.url));

/** Roles that processes log in with; `analyst` is the read-only one. */
export const processRoles = [
  'analyst',
  'assignment_service',
  'ingestion_service',
  'postgres_sink',
  'parquet_archiver',
  'metrics_aggregator',
  'dataset_builder',
  'guardrail_monitor',
  'planner_service',
  'operator',
] as const;

/** Lets the roles log in with one password; environments that manage roles themselves leave the setting out. */
async function enableRoleLogins(pool: Pool, password: string): Promise<void> {
  if (password.includes("'") || password.includes('\\')) {
    throw new FatalError('POSTGRES_ROLE_PASSWORD must not contain quotes or backslashes', { code: 'config-invalid' });
  }
  for (const role of processRoles) await pool.query(`ALTER ROLE ${role} LOGIN PASSWORD '${password}'`);
}

export async function applyMigrations(config: DeployConfig): Promise<string[]> {
  const pool = createPostgresPool({
    url: config.postgres.url,
    poolSize: 2,
    applicationName: 'ops-deploy',
    statementTimeoutMs: 600_000,
  });
  try {
    const applied = await migrate(pool, await listMigrations(migrationsFolder));
    if (config.rolePassword !== undefined) await enableRoleLogins(pool, config.rolePassword);
    return applied;
  } finally {
    await pool.end();
  }
}

export async function applyCatalogue(
  config: DeployConfig,
  log: Logger,
): Promise<Awaited<ReturnType<typeof applyTopics>>> {
  const kafka = createKafka({ ...config.kafka, clientId: 'ops-deploy', log });
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await applyTopics({
      admin,
      catalogue: Object.values(topics) as Topic[],
      namespace: config.kafka.namespace,
      replicationFactor: config.replicationFactor,
    });
  } finally {
    await admin.disconnect();
  }
}

/** Registers every value schema; returns subject and id. */
export async function registerSchemas(config: DeployConfig): Promise<{ subject: string; id: number }[]> {
  const registry = createSchemaRegistry({ url: config.registry.url });
  const registered: { subject: string; id: number }[] = [];
  for (const topic of Object.values(topics)) {
    const subject = valueSubject(inNamespace(topic.name, config.kafka.namespace));
    registered.push({
      subject,
      id: await registry.register(subject, loadRecordSchema(topic.valueSchema), topic.compatibility),
    });
  }
  return registered;
}
