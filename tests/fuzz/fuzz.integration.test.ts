// The services under random requests of their own documents: no 5xx, nothing undocumented, and no hang.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { type IngestionInstance, startIngestion } from '#tests/support/ingestion-service-instance.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { type PlannerInstance, startPlannerInstance } from '#tests/support/planner-service-instance.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { fuzzService } from './fuzzer.ts';
import { knownOfPlanner, plannerRows } from './known-household.ts';

let database: TestDatabase;
let topics: TestTopics;
let assignment: ServiceInstance;
let ingestion: IngestionInstance;
let planner: PlannerInstance;
const urls: Record<string, string> = {};

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['events', 'assignments', 'definitions']);
  await addApiKey(database, testKey);
  assignment = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  });
  ingestion = await startIngestion({ database, topics, key: testKey });
  urls.assignment = await assignment.app.listen({ host: '127.0.0.1', port: 0 });
  urls.ingestion = ingestion.url;
  await writeDomainRows(database.pool, plannerRows);
  planner = await startPlannerInstance({
    database,
    assignmentUrl: urls.assignment,
    ingestionUrl: urls.ingestion,
    key: testKey,
  });
  urls.planner = planner.url;
  expect((await assignment.call('POST', '/v1/experiments', definitionOf({ key: 'x' }))).status).toBe(201);
});
afterAll(async () => {
  await planner?.stop();
  await assignment?.stop();
  await ingestion?.stop();
  await topics?.drop();
  await database?.drop();
});

// More examples, and other seeds: npm run fuzz.
test.concurrent.each([
  ['assignment', 8, 400],
  ['ingestion', 40, 100],
  ['planner', 40, 100],
])('the %s service', { timeout: 600_000 }, async (service, examples, atLeast) => {
  const { passed, caseCount, output } = await fuzzService({
    url: urls[service]!,
    apiKey: testKey,
    examples,
    seed: 4,
    known: service === 'planner' ? knownOfPlanner : {},
  });
  expect(passed, output).toBe(true);
  expect(caseCount).toBeGreaterThan(atLeast);
});

test('whatever plan was served, its events were accepted', async () => {
  const text = await until('no event waits', async () => {
    const metrics = await (await fetch(`${urls.planner}/metrics`)).text();
    return /^planner_waiting_events\{.*\} 0$/m.test(metrics) && metrics;
  });
  const countOf = (labels: string): number =>
    Number(new RegExp(`^planner_${labels}.*\\} (\\d+)$`, 'm').exec(text)?.[1]);
  expect(countOf('answers_total\\{status="200"')).toBeGreaterThan(3);
  expect(countOf('events_total\\{outcome="accepted"')).toBeGreaterThan(3);
  expect([countOf('events_total\\{outcome="rejected"'), countOf('events_total\\{outcome="lost"')]).toEqual([0, 0]);
});

test('a service that breaks its document is found out', { timeout: 120_000 }, async () => {
  const { createServer } = await import('node:http');
  const document = {
    openapi: '3.1.0',
    info: { title: 'broken', version: '1' },
    paths: {
      '/x': {
        get: {
          parameters: [{ name: 'n', in: 'query', required: true, schema: { type: 'integer', minimum: 0 } }],
          responses: { 200: { description: 'fine' }, 400: { description: 'not fine' } },
        },
      },
    },
  };
  const server = createServer((request, response) => {
    if (request.url === '/openapi.json')
      response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
    else response.writeHead(Number(new URLSearchParams(request.url?.split('?')[1]).get('n')) > 100 ? 500 : 200).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const { passed, output } = await fuzzService({
    url: `http://127.0.0.1:${port}`,
    apiKey: 'any',
    examples: 50,
    seed: 4,
  });
  server.closeAllConnections();
  server.close();
  expect(passed, output).toBe(false);
  expect(output).toContain('Server error');
});
