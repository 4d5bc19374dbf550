// The promise of the service: 10,000 units, 32 connections, two instances, twice, over a restart and a coverage change: nobody differs.
import { Agent, request as httpRequest } from 'node:http';
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
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

const unitCount = 10_000;
const connectionsPerInstance = 16;

let database: TestDatabase;
let topics: TestTopics;
const instances: ServiceInstance[] = [];

async function start(name: string): Promise<{ instance: ServiceInstance; url: string }> {
  const instance = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
    name,
  });
  instances.push(instance);
  return { instance, url: await instance.app.listen({ host: '127.0.0.1', port: 0 }) };
}

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
});
afterAll(async () => {
  for (const instance of instances) await instance.stop();
  await topics?.drop();
  await database?.drop();
});

type Client = { agent: Agent; url: string };

function post(client: Client, body: object): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${client.url}/v1/assignments`,
      {
        method: 'POST',
        agent: client.agent,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${testKey}` },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
      },
    );
    request.on('error', reject);
    request.end(JSON.stringify(body));
  });
}

/** Asks for every unit once per instance, all connections at work at once; returns the variants by instance and unit. */
async function askForAll(urls: readonly string[]): Promise<(string | null)[][]> {
  return Promise.all(
    urls.map(async (url, instance) => {
      const agent = new Agent({ keepAlive: true, maxSockets: connectionsPerInstance });
      const variants: (string | null)[] = Array(unitCount).fill(null);
      let next = 0;
      const work = async (): Promise<void> => {
        for (let position = next++; position < unitCount; position = next++) {
          const { status, body } = await post(
            { agent, url },
            {
              unit_type: 'user',
              unit_id: `unit-${position}-é`,
              requested_experiments: ['stable'],
            },
          );
          if (status !== 200) throw new Error(`instance ${instance} answered ${status}: ${JSON.stringify(body)}`);
          const { assignments } = body as { assignments: { variant_id: string }[] };
          variants[position] = assignments[0]?.variant_id ?? null;
        }
      };
      await Promise.all(Array.from({ length: connectionsPerInstance }, work));
      agent.destroy();
      return variants;
    }),
  );
}

async function readStored(): Promise<Map<string, string>> {
  const { rows } = await database.pool.query<{ unit_id: string; variant_id: string }>(
    'SELECT unit_id, variant_id FROM exp.assignments',
  );
  return new Map(rows.map((row) => [row.unit_id, row.variant_id]));
}

test('one unit gets one variant, and it is the stored one', { timeout: 240_000 }, async () => {
  const one = await start('one');
  const two = await start('two');
  const created = await one.instance.call('POST', '/v1/experiments', definitionOf({ key: 'stable', coverage: 0.5 }));
  expect(created.status).toBe(201);
  await until('the other instance knows the experiment', async () => {
    const body = { unit_type: 'user', unit_id: 'probe', requested_experiments: ['stable'], enroll: false };
    return (await two.instance.call('POST', '/v1/assignments', body)).status === 200;
  });

  const first = await askForAll([one.url, two.url]);
  expect(first[0]).toEqual(first[1]);
  const enrolled = first[0]!.filter((variant) => variant !== null).length;
  expect(enrolled).toBeGreaterThan(unitCount * 0.45);
  expect(enrolled).toBeLessThan(unitCount * 0.55);
  const stored = await readStored();
  expect(stored.size).toBe(enrolled);

  const grown = await one.instance.call('POST', '/v1/experiments/stable/coverage', {
    coverage: 1,
    expected_version: 1,
    reason: 'ramp',
  });
  expect(grown.status).toBe(200);
  await two.instance.stop();
  const three = await start('three');
  const second = await askForAll([one.url, three.url]);
  expect(second[0]).toEqual(second[1]);
  const moved = first[0]!.filter((variant, position) => variant !== null && variant !== second[0]![position]);
  expect(moved).toEqual([]);
  expect(second[0]!.every((variant) => variant !== null)).toBe(true);

  const storedAfter = await readStored();
  expect(storedAfter.size).toBe(unitCount);
  for (const [unitId, variant] of stored) expect(storedAfter.get(unitId)).toBe(variant);
  second[0]!.forEach((variant, position) => {
    if (storedAfter.get(`unit-${position}-é`) !== variant)
      throw new Error(`unit ${position} was answered another variant`);
  });

  await until('Kafka has every assignment', async () => {
    const { rows } = await database.pool.query('SELECT FROM exp.assignment_outbox WHERE published_at IS NULL LIMIT 1');
    return rows.length === 0;
  });
  const records = await topics.readAll('assignments');
  const keys = new Set(records.map(({ key }) => key?.toString().split(':').slice(1).join(':')));
  expect(keys).toEqual(new Set(storedAfter.keys()));
});
