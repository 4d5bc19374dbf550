// Every route of each service is closed without a key and to a key of another scope, except those that say how the service is.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiKeyScope, apiKeyScopes } from '#api/authentication.ts';
import { addApiKey, type ServiceInstance, startInstance } from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { type IngestionInstance, startIngestion } from '#tests/support/ingestion-service-instance.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { type PlannerInstance, startPlannerInstance } from '#tests/support/planner-service-instance.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

const secretOf = (scope: ApiKeyScope): string => `key-with-only-${scope}`;

let database: TestDatabase;
let topics: TestTopics;
let assignment: ServiceInstance;
let ingestion: IngestionInstance;
let planner: PlannerInstance;
const services = ['assignment', 'ingestion', 'planner'] as const;
const urls = { assignment: '', ingestion: '', planner: '' };
/** A route of each service, and the scope that opens it. */
const doors = {
  assignment: { path: '/v1/assignments', scope: 'assign' },
  ingestion: { path: '/v1/events', scope: 'ingest' },
  planner: { path: '/v1/plans', scope: 'assign' },
} as const;

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['events', 'assignments', 'definitions']);
  for (const scope of apiKeyScopes) await addApiKey(database, secretOf(scope), [scope]);
  await addApiKey(database, 'revoked', [...apiKeyScopes]);
  assignment = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  });
  ingestion = await startIngestion({ database, topics, key: secretOf('ingest') });
  urls.assignment = await assignment.app.listen({ host: '127.0.0.1', port: 0 });
  urls.ingestion = ingestion.url;
  planner = await startPlannerInstance({
    database,
    assignmentUrl: urls.assignment,
    ingestionUrl: urls.ingestion,
    key: secretOf('assign'),
  });
  urls.planner = planner.url;
});
afterAll(async () => {
  await planner?.stop();
  await assignment?.stop();
  await ingestion?.stop();
  await topics?.drop();
  await database?.drop();
});

type Operation = { method: string; path: string };
async function listOperations(url: string): Promise<Operation[]> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{\w+\}/g, 'x'),
    })),
  );
}
async function statusOf(url: string, { method, path }: Operation, authorization?: string): Promise<number> {
  const stop = new AbortController();
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
    ...(method === 'GET' ? {} : { body: '{}' }),
    signal: stop.signal,
  });
  stop.abort();
  return response.status;
}

/** What a key of each scope may do: the first segments of paths, by method. */
const opened: Readonly<Record<ApiKeyScope, readonly RegExp[]>> = {
  assign: [/^POST \/v1\/(assignments|plans)$/, /^GET \/v1\/definitions/, /^POST \/ofrep\//, /^POST \/v1\/units\/link$/],
  ingest: [/^POST \/v1\/events$/],
  read: [/^GET \/v1\/(definitions|experiments|promotions|units)/],
  admin: [/^(GET|POST) \/v1\/(experiments|promotions|units)(?!\/link)/, /^POST \/v1\/assignments\/import$/],
};

describe.each(services)('the %s service', (service) => {
  test('answers 401 to everything without a known key', async () => {
    await database.pool.query("UPDATE exp.api_keys SET revoked_at = now() WHERE name = 'name of revoked'");
    const operations = await listOperations(urls[service]);
    expect(operations.length).toBeGreaterThan(service === 'assignment' ? 10 : 0);
    await until('the revoked key is refused', async () => {
      return (await statusOf(urls[service], operations[0]!, 'Bearer revoked')) === 401;
    });
    for (const operation of operations) {
      for (const authorization of [undefined, 'Bearer unknown', 'Bearer revoked', 'Basic dXNlcjpwYXNz', 'Bearer ']) {
        const status = await statusOf(urls[service], operation, authorization);
        expect(status, `${operation.method} ${operation.path} with ${authorization}`).toBe(401);
      }
    }
  });

  test.each(apiKeyScopes)(
    'opens to a key with the scope %s what this scope is for, and nothing else',
    async (scope) => {
      for (const operation of await listOperations(urls[service])) {
        const name = `${operation.method} ${operation.path}`;
        const status = await statusOf(urls[service], operation, `Bearer ${secretOf(scope)}`);
        if (opened[scope].some((pattern) => pattern.test(name))) expect([401, 403], name).not.toContain(status);
        else expect(status, name).toBe(403);
      }
    },
  );

  test('refuses an address that cannot be read, and one without a body, in the usual shape', async () => {
    const { path, scope } = doors[service];
    const headers = { authorization: `Bearer ${secretOf(scope)}` };
    const broken = await fetch(`${urls[service]}/v1/%zz`, { headers });
    expect([broken.status, await broken.json()]).toMatchObject([400, { code: 'invalid-request' }]);
    const empty = await fetch(`${urls[service]}${path}`, { method: 'POST', headers });
    expect([empty.status, await empty.json()]).toMatchObject([400, { message: expect.any(String) }]);
  });

  test('says how it is to everybody', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json', '/docs/']) {
      expect(await statusOf(urls[service], { method: 'GET', path }), path).toBe(200);
    }
  });
});

test('a unit id may be as long as its limit says, whatever it needs in an address', async () => {
  const read = (unitId: string) =>
    statusOf(
      urls.assignment,
      { method: 'GET', path: `/v1/units/user/${encodeURIComponent(unitId)}/assignments` },
      `Bearer ${secretOf('read')}`,
    );
  expect([await read('😀'.repeat(256)), await read('😀'.repeat(257))]).toEqual([200, 400]);
});

test('keys are at rest as digests only', async () => {
  const { rows } = await database.pool.query<{ row: string }>('SELECT k::text AS row FROM exp.api_keys k');
  expect(rows).toHaveLength(apiKeyScopes.length + 1);
  const { rows: columns } = await database.pool.query<{ key_hash: Buffer }>('SELECT key_hash FROM exp.api_keys');
  for (const { key_hash: digest } of columns) expect(digest).toHaveLength(32);
  for (const scope of apiKeyScopes) {
    // The name is the test's own; the secret itself must be nowhere else.
    for (const { row } of rows) expect(row.replace(`name of ${secretOf(scope)}`, '')).not.toContain(secretOf(scope));
  }
});
