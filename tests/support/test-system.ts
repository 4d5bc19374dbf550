// Our services and consumer groups as real processes on a database and topics of a test's own, on the shared stack.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StackEndpoints } from '#infra/local/components.ts';
import { ensureLocalKeys } from '#infra/system/access-keys.ts';
import { deriveLocalAccess, type LocalAccess } from '#infra/system/local-access.ts';
import { type ProcessName, type ProcessSpec, processSpecs } from '#infra/system/process-specs.ts';
import { type RunningProcess, type System, type SystemOptions, startSystem } from '#infra/system/system.ts';
import { createObjectStore, type ObjectStore } from '#platform/object-store/object-store.ts';
import { createTestDatabase, type DatabaseRole, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

type Settings = Readonly<Record<string, string>>;

export type TestSystem = {
  readonly database: TestDatabase;
  readonly topics: TestTopics;
  readonly objectStore: ObjectStore;
  readonly access: LocalAccess;
  readonly system: System;
  /** All replicas of a process, the first one first. */
  replicas(name: ProcessName): RunningProcess[];
  /** Processes that ended although nobody asked them to. */
  readonly unexpectedEnds: string[];
  /** Stops the processes and removes database, topics, archive objects and logs. */
  stop(): Promise<void>;
};

/** Quick flushes of few records, so that a short test has many of them. */
const quickFlushes: Settings = { FLUSH_MAX_AGE_MS: '100', FLUSH_MAX_RECORDS: '500' };

const groups: readonly ProcessName[] = ['postgres-sink', 'parquet-archiver', 'metrics-aggregator', 'dataset-builder'];

export type TestSystemOptions = Pick<SystemOptions, 'startAtFirst' | 'codeRoot'> & {
  /** Another stack than the shared one. */
  endpoints?: StackEndpoints;
  /** Copies of each partition; one by default. */
  replicationFactor?: number;
  /** Settings of one replica (the first is number 1) beyond those of every test. */
  overrides?: (process: { name: ProcessName; replica: number; postgresUrl: string }) => Settings;
};

/** Starts the wanted number of each process; those that are not named do not run. */
export async function startTestSystem(
  replicas: Partial<Record<ProcessName, number>>,
  options: TestSystemOptions = {},
): Promise<TestSystem> {
  const endpoints = options.endpoints ?? stackEndpoints();
  const access = deriveLocalAccess(endpoints);
  const [database, topics] = await Promise.all([
    createTestDatabase(endpoints),
    createTestTopics(undefined, endpoints, options.replicationFactor),
  ]);
  const { objectStoreBucket, ...storeSettings } = endpoints.objectStore;
  const objectStore = createObjectStore({ ...storeSettings, bucket: objectStoreBucket });
  const localDir = await mkdtemp(join(tmpdir(), 'trialstream-system-'));
  await mkdir(join(localDir, 'logs'));
  const unexpectedEnds: string[] = [];
  const overridesOf = ({ name, role }: ProcessSpec, replica: number): Settings => {
    const postgresUrl = database.urlAs(role as DatabaseRole);
    return {
      KAFKA_NAMESPACE: topics.namespace,
      POSTGRES_URL: postgresUrl,
      POSTGRES_POOL_SIZE: '5',
      ...(groups.includes(name) ? quickFlushes : {}),
      ...options.overrides?.({ name, replica, postgresUrl }),
    };
  };
  const removeAll = async (): Promise<void> => {
    const objects = await database.pool.query<{ object_key: string }>('SELECT object_key FROM exp.archive_manifest');
    await Promise.all(objects.rows.map(({ object_key }) => objectStore.delete(object_key)));
    objectStore.close();
    await topics.drop();
    await database.drop();
    await rm(localDir, { recursive: true, force: true });
  };
  await ensureLocalKeys(database.pool, access);
  try {
    const system = await startSystem({
      endpoints,
      localDir,
      ports: 'free',
      replicas: Object.fromEntries(processSpecs.map(({ name }) => [name, replicas[name] ?? 0])),
      overrides: Object.fromEntries(
        processSpecs.map((spec) => [spec.name, (replica: number) => overridesOf(spec, replica)]),
      ),
      ...(options.startAtFirst === undefined ? {} : { startAtFirst: options.startAtFirst }),
      ...(options.codeRoot === undefined ? {} : { codeRoot: options.codeRoot }),
      onUnexpectedEnd: (message) => unexpectedEnds.push(message),
    });
    return {
      database,
      topics,
      objectStore,
      access,
      system,
      unexpectedEnds,
      replicas: (name) =>
        [...system.processes.values()].filter((process) => process.name.replace(/-\d+$/, '') === name),
      stop: async () => {
        await system.stop();
        await removeAll();
      },
    };
  } catch (error) {
    await removeAll();
    throw error;
  }
}
