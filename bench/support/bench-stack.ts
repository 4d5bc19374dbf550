// Where a benchmark runs: real components with a deployed system, an experiment to send events for, and our processes on request.

import type { StackEndpoints } from '#infra/local/components.ts';
import { choosePorts } from '#infra/local/ports.ts';
import { findStackFile } from '#infra/local/stack-file.ts';
import { deployLocally } from '#infra/system/bring-up.ts';
import { deriveLocalAccess, type LocalAccess } from '#infra/system/local-access.ts';
import { type ProcessName, processSpecs } from '#infra/system/process-specs.ts';
import { createRunningProcess } from '#infra/system/system.ts';
import { createKafka, type Kafka, plaintext } from '#platform/kafka/kafka-client.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { startTemporaryStack } from '#tests/support/temporary-stack.ts';
import { benchExperiment } from './workload.ts';

type Settings = Readonly<Record<string, string>>;

/** A deployed system on a running stack; tests give a database and topics of their own. */
export type BenchTarget = {
  readonly localDir: string;
  readonly endpoints: StackEndpoints;
  /** Connection string of the superuser on the database that is used. */
  readonly databaseUrl: string;
  readonly namespace: string | undefined;
  /** Settings by which our processes reach this database and these topics. */
  readonly settingsOf: (role: string) => Settings;
};

export type BenchProcess = AsyncDisposable & {
  readonly pid: number;
  readonly url: string;
  /** @throws when it has ended by itself. */
  assertRuns(): void;
};

export type BenchStack = BenchTarget & {
  readonly kafka: Kafka;
  /** As superuser: for preparing and watching, never for what is measured. */
  readonly pool: Pool;
  readonly access: LocalAccess;
  readonly eventsTopic: string;
  groupId(group: string): string;
  /** Starts one of our processes, or another program with its settings, and waits until it is ready. */
  startProcess(name: ProcessName, options?: { settings?: Settings; entry?: string }): Promise<BenchProcess>;
  /** Process id of a component of the stack. */
  componentPid(name: 'postgres' | 'kafka'): number;
};

/** A stack of the run's own on free ports, deployed; it is on `resources` and goes with them. */
export async function startOwnTarget(
  resources: AsyncDisposableStack,
  onProgress: (text: string) => void,
): Promise<BenchTarget> {
  onProgress('starting Kafka, schema registry, Postgres and object store');
  const { localDir, endpoints } = resources.use(await startTemporaryStack());
  await deployLocally(endpoints);
  const databaseUrl = endpoints.postgres.superuserUrl;
  return { localDir, endpoints, databaseUrl, namespace: undefined, settingsOf: () => ({}) };
}

/** Opens connections and stores the experiment that the workload names. */
export async function openBenchStack(target: BenchTarget, resources: AsyncDisposableStack): Promise<BenchStack> {
  const { endpoints, localDir, namespace, databaseUrl } = target;
  const pool = createPostgresPool({
    url: databaseUrl,
    poolSize: 4,
    applicationName: 'bench',
    statementTimeoutMs: 600_000,
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
  return {
    ...target,
    pool,
    access: deriveLocalAccess(endpoints),
    kafka: createKafka({
      ...plaintext(endpoints.kafka.brokers),
      clientId: 'bench',
      log: createSilentLogger(),
    }),
    eventsTopic: inNamespace(topics.events.name, namespace),
    groupId: (group) => inNamespace(group, namespace),
    startProcess: async (name, { settings = {}, entry } = {}) => {
      const spec = processSpecs.find((candidate) => candidate.name === name)!;
      const ports = await choosePorts({ [name]: undefined });
      const running = createRunningProcess({
        name,
        spec: { ...spec, entry: entry ?? spec.entry },
        replica: 1,
        port: ports[name]!,
        system: { endpoints, localDir, overrides: { [name]: { ...target.settingsOf(spec.role), ...settings } } },
      });
      await running.start();
      const { pid, url, logPath } = running;
      if (pid === undefined) throw new Error(`${name} ended by itself; its log is ${logPath}`);
      const assertRuns = (): void => {
        if (running.pid !== pid) throw new Error(`${name} ended by itself; its log is ${logPath}`);
      };
      return { pid, url, assertRuns, [Symbol.asyncDispose]: () => running.stop() };
    },
    componentPid: (name) => {
      const pid = findStackFile(localDir)?.components[name].process?.pid;
      if (pid === undefined) throw new Error(`${name} does not run`);
      return pid;
    },
  };
}
