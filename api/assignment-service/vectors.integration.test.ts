// The published vectors through the whole service: the experiment has the id that the vectors name, and its coverage grows through theirs.
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import vectors from '../../domain/assignment/vectors.json' with { type: 'json' };

let database: TestDatabase;
let topics: TestTopics;
let service: ServiceInstance;

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
  service = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  });
});
afterAll(async () => {
  await service?.stop();
  await topics?.drop();
  await database?.drop();
});

type Row = [experimentId: string, unitId: string, allocations: number[], coverage: number, variantIndex: number | null];

test('units have the bucket and, at each coverage, the variant that the vectors say, and the first answer is what is stored', async () => {
  const rows = (vectors.variant.rows as Row[]).filter(
    ([, unitId, allocations]) => allocations.join() === '5000,5000' && !unitId.includes('\u0000'),
  );
  const coverages = [...new Set(rows.map(([, , , coverage]) => coverage))].sort((a, b) => a - b);
  expect(coverages.length).toBeGreaterThan(5);
  const created = await service.call('POST', '/v1/experiments', definitionOf({ coverage: 0 }));
  const { experiment_id: experimentId, variants } = created.body as {
    experiment_id: string;
    variants: { variant_id: string }[];
  };
  expect(experimentId).toBe(rows[0]?.[0]);
  const bucketOf = new Map(
    (vectors.bucket.rows as [string, string, number][])
      .filter(([id]) => id === experimentId)
      .map(([, unitId, bucket]) => [unitId, bucket]),
  );
  let checked = 0;
  let version = 1;
  for (const coverage of coverages) {
    if (coverage > 0) {
      const body = { coverage: coverage / 10_000, expected_version: version, reason: 'vectors' };
      expect((await service.call('POST', '/v1/experiments/checkout-button/coverage', body)).status).toBe(200);
      version += 1;
    }
    for (const [, unitId, , , index] of rows.filter((row) => row[3] === coverage)) {
      const { status, body } = await service.call('POST', '/v1/assignments', {
        unit_type: 'user',
        unit_id: unitId,
        requested_experiments: ['checkout-button'],
      });
      const [answer] = (body as { assignments: { variant_id: string; hash_bucket: number }[] }).assignments;
      expect([status, answer?.variant_id], `${unitId} at ${coverage}`).toEqual([
        200,
        index === null ? undefined : variants[index]?.variant_id,
      ]);
      if (answer !== undefined && bucketOf.has(unitId)) expect(answer.hash_bucket).toBe(bucketOf.get(unitId));
      checked += 1;
    }
  }
  expect(checked).toBe(rows.length);
  const stored = await database.pool.query<{ unit_id: string; variant_id: string }>(
    'SELECT unit_id, variant_id::text FROM exp.assignments',
  );
  const expected = rows.filter(([, , , coverage]) => coverage === 10_000);
  expect(new Map(stored.rows.map((row) => [row.unit_id, row.variant_id]))).toEqual(
    new Map(expected.map(([, unitId, , , index]) => [unitId, variants[index!]?.variant_id])),
  );
});
