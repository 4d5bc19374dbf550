// Doctor's checks of what the system runs on: Kafka and its topics, the registry, Postgres and its schema, the object store.
import { fileURLToPath } from 'node:url';
import { listMigrations } from '#platform/postgres/migrate.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace, topics, valueSubject } from '#schemas/topics.ts';
import type { DoctorCheck } from './doctor.ts';
import { readTopics } from './topics.ts';

const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url));

export const checkKafka: DoctorCheck = {
  name: 'kafka',
  adviceWhenUnreachable: 'check KAFKA_BROKERS and that the brokers run ("npm run status" for the local stack)',
  run: async (cluster) => {
    const reports = await readTopics(cluster);
    const missing = reports.filter(({ exists }) => !exists).map(({ topic }) => topic);
    const differences = reports.flatMap((report) => report.differences);
    if (missing.length > 0) {
      return [
        { state: 'problem', detail: `missing topics: ${missing.join(', ')}`, advice: 'run "npm run -s ops -- deploy"' },
      ];
    }
    if (differences.length > 0) {
      return differences.map(({ topic, setting, found, expected }) => ({
        state: setting === 'partitions' ? ('problem' as const) : ('warning' as const),
        detail: `${topic} has ${setting}=${found}, the catalogue says ${expected}`,
        advice:
          setting === 'partitions'
            ? 'a partition count never changes: restore it, or make a new topic version'
            : `set it back with kafka-configs, or change schemas/topics.ts`,
      }));
    }
    return [{ state: 'ok', detail: `${reports.length} topics as in the catalogue` }];
  },
};

export const checkRegistry: DoctorCheck = {
  name: 'schema registry',
  adviceWhenUnreachable:
    'check SCHEMA_REGISTRY_URL and that the registry runs; if it says that a schema is not registered, run "npm run -s ops -- deploy"',
  run: async (cluster) => {
    for (const topic of Object.values(topics)) {
      const subject = valueSubject(inNamespace(topic.name, cluster.namespace));
      await cluster.registry.idOf(subject, loadRecordSchema(topic.valueSchema));
    }
    return [{ state: 'ok', detail: `${Object.keys(topics).length} schemas registered as in this release` }];
  },
};

export const checkMigrations: DoctorCheck = {
  name: 'postgres',
  adviceWhenUnreachable: 'check POSTGRES_URL and that Postgres runs ("npm run status" for the local stack)',
  run: async ({ pool }) => {
    const expected = (await listMigrations(migrationsFolder)).map(({ name }) => name);
    // The ledger belongs to whoever deploys; an operator's role may not read it, but then something did deploy.
    const found = await pool.query<{ there: boolean; readable: boolean | null; schema: boolean }>(
      `SELECT to_regclass('public.schema_migrations') IS NOT NULL AS there,
         has_table_privilege(to_regclass('public.schema_migrations')::oid, 'SELECT') AS readable,
         to_regnamespace('exp') IS NOT NULL AS schema`,
    );
    const { there, readable, schema } = found.rows[0]!;
    if (!there || !schema)
      return [{ state: 'problem', detail: 'no schema exp', advice: 'run "npm run -s ops -- deploy"' }];
    if (readable !== true) {
      return [{ state: 'ok', detail: 'reachable; this role may not read the ledger of migrations' }];
    }
    const ledger = await pool.query<{ name: string }>('SELECT name FROM public.schema_migrations');
    const applied = new Set(ledger.rows.map(({ name }) => name));
    const pending = expected.filter((name) => !applied.has(name));
    const unknown = [...applied].filter((name) => !expected.includes(name));
    if (unknown.length > 0) {
      return [
        {
          state: 'problem',
          detail: `migrations of a newer release: ${unknown.join(', ')}`,
          advice: 'use the ops of that release',
        },
      ];
    }
    if (pending.length > 0) {
      return [
        {
          state: 'problem',
          detail: `not applied: ${pending.join(', ')}`,
          advice: 'run "npm run -s ops -- deploy" before the processes of this release start',
        },
      ];
    }
    return [{ state: 'ok', detail: `${applied.size} migrations, none missing` }];
  },
};

export const checkObjectStore: DoctorCheck = {
  name: 'object store',
  adviceWhenUnreachable: 'check S3_ENDPOINT, S3_BUCKET and the keys: the archiver waits until it is back',
  run: async ({ objectStore }) => {
    await objectStore.find('events/doctor-looks-for-an-object-that-need-not-exist');
    return [{ state: 'ok', detail: `bucket ${objectStore.bucket} answers` }];
  },
};
