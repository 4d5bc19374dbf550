// Tests what each database role may not do: whoever gets hold of a process's password gets no further than the process itself.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type DatabaseRole, type TestDatabase } from '#tests/support/database.ts';

const roles = [
  'analyst',
  'assignment_service',
  'ingestion_service',
  'postgres_sink',
  'parquet_archiver',
  'metrics_aggregator',
  'dataset_builder',
  'planner_service',
  'operator',
] as const satisfies readonly DatabaseRole[];

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

/** Tables on which a role has a privilege, partitions of a day left out. */
async function tablesOf(role: DatabaseRole, privileges: string): Promise<string[]> {
  const { rows } = await database.pool.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'exp'::regnamespace AND c.relkind IN ('r', 'p')
       AND NOT c.relispartition AND has_table_privilege($1, c.oid, $2) ORDER BY 1`,
    [role, privileges],
  );
  return rows.map(({ name }) => name);
}

test('no role owns, creates or becomes anything', async () => {
  const { rows } = await database.pool.query(
    `SELECT r.rolname FROM pg_roles r WHERE r.rolname = ANY ($1::text[]) AND (
       r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
       OR has_schema_privilege(r.oid, 'exp', 'CREATE') OR has_schema_privilege(r.oid, 'public', 'CREATE')
       OR EXISTS (SELECT 1 FROM pg_class c WHERE c.relowner = r.oid)
       OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid))`,
    [roles],
  );
  expect(rows).toEqual([]);
});

test('the analyst reads, but no credentials and no erased units, and writes nothing', async () => {
  expect(await tablesOf('analyst', 'INSERT, UPDATE, DELETE, TRUNCATE')).toEqual([]);
  const readable = await tablesOf('analyst', 'SELECT');
  expect(readable).toEqual(expect.arrayContaining(['experiments', 'events', 'metric_aggregates', 'unit_metrics']));
  for (const secret of ['api_keys', 'erasures', 'erasure_key', 'unit_links']) expect(readable).not.toContain(secret);
});

test('what is on record is only ever added to', async () => {
  for (const role of roles) {
    const editable = await tablesOf(role, 'UPDATE, DELETE, TRUNCATE');
    for (const record of ['audit_log', 'experiment_versions', 'assignments', 'erasures']) {
      expect(editable, role).not.toContain(record);
    }
  }
});

test.each<[DatabaseRole, readonly string[]]>([
  ['ingestion_service', []],
  ['planner_service', []],
  ['postgres_sink', ['consumer_offsets', 'events']],
  ['parquet_archiver', ['archive_manifest', 'consumer_offsets']],
  [
    'metrics_aggregator',
    [
      'consumer_offsets',
      'event_claims',
      'first_exposures',
      'metric_aggregate_bins',
      'metric_aggregates',
      'unit_daily_metrics',
      'unit_metrics',
      'unit_pending_metrics',
    ],
  ],
  [
    'dataset_builder',
    ['consumer_offsets', 'dataset_versions', 'offline_replay_results', 'plan_reactions', 'training_rows'],
  ],
])('%s writes its own tables and no others', async (role, expected) => {
  expect(await tablesOf(role, 'INSERT, UPDATE, DELETE')).toEqual(expected);
});

test('only the services read the hashes of API keys', async () => {
  for (const role of roles) {
    const mayRead = (await tablesOf(role, 'SELECT')).includes('api_keys');
    expect(mayRead, role).toBe(
      ['assignment_service', 'ingestion_service', 'planner_service', 'operator'].includes(role),
    );
  }
});
