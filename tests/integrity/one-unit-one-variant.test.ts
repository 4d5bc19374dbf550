// Promise: one unit gets one variant, from any process, across a crash and a coverage change; and the compacted topic says the same.
import { readFile } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '#schemas/topics.ts';
import { runKafkaTool } from '#tests/support/kafka-tools.ts';
import { until } from '#tests/support/poll.ts';
import { pythonWith, runPython } from '#tests/support/python-venv.ts';
import { createExperiment, post } from '#tests/support/service-client.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const unitCount = 10_000;
const connectionsPerProcess = 16;
const unitIdOf = (number: number): string => `unit-${number}-é`;

let run: TestSystem;

beforeAll(async () => {
  run = await startTestSystem({ 'assignment-service': 2 });
});
afterAll(async () => {
  await run?.stop();
});

const urls = (): string[] => run.replicas('assignment-service').map(({ url }) => url);

function ask(url: string, agent: Agent, unitId: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${url}/v1/assignments`,
      {
        method: 'POST',
        agent,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${run.access.ingestKey}` },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode !== 200) reject(new Error(`${url} answered ${response.statusCode}: ${text}`));
          else
            resolve((JSON.parse(text) as { assignments: { variant_id: string }[] }).assignments[0]?.variant_id ?? null);
        });
      },
    );
    request.on('error', reject);
    request.end(JSON.stringify({ unit_type: 'user', unit_id: unitId, requested_experiments: ['stable'] }));
  });
}

/** Asks both processes for every unit over all 32 connections at once; the variants by process and unit. */
function askForAll(): Promise<(string | null)[][]> {
  return Promise.all(
    urls().map(async (url) => {
      const agent = new Agent({ keepAlive: true, maxSockets: connectionsPerProcess });
      const variants: (string | null)[] = Array(unitCount).fill(null);
      const units = variants.keys();
      const work = async (): Promise<void> => {
        for (const unit of units) variants[unit] = await ask(url, agent, unitIdOf(unit));
      };
      await Promise.all(Array.from({ length: connectionsPerProcess }, work));
      agent.destroy();
      return variants;
    }),
  );
}

type StoredAssignment = { unit_id: string; key: string; variant_id: string } & Record<string, unknown>;

/** Rows of exp.assignments in the words of the topic. */
async function readStored(): Promise<StoredAssignment[]> {
  const { rows } = await run.database.pool.query<StoredAssignment>(
    `SELECT a.experiment_id || ':' || a.unit_id AS key, a.experiment_id, e.key AS experiment_key, a.unit_type, a.unit_id,
       a.variant_id, v.name AS variant_name, a.hash_bucket, a.experiment_version, a.probability, a.enrolment_share, a.source,
       to_char(a.assigned_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS+00:00') AS assigned_at
     FROM exp.assignments a JOIN exp.experiments e ON e.id = a.experiment_id JOIN exp.variants v ON v.id = a.variant_id`,
  );
  return rows;
}

type Folded = Record<string, Record<string, unknown> & { revision: number; partition: number }>;

/** The topic from its start as Kafka's own Java consumer prints it, folded last per key and decoded by Python. */
async function readTopicElsewhere(): Promise<{ folded: Folded; schemas: number[] }> {
  const { kafka, schemaRegistry } = stackEndpoints();
  const records = await run.topics.readAll('assignments');
  const bytes = 'org.apache.kafka.common.serialization.BytesDeserializer';
  const properties = {
    'print.partition': 'true',
    'print.offset': 'true',
    'print.key': 'true',
    'key.deserializer': bytes,
    'value.deserializer': bytes,
  };
  const printed = await runKafkaTool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    '--bootstrap-server',
    kafka.brokers.join(','),
    '--topic',
    run.topics.name('assignments'),
    '--from-beginning',
    '--max-messages',
    String(records.length),
    // Not reached when there are as many records as another client counted.
    '--timeout-ms',
    '60000',
    ...Object.entries(properties).flatMap(([name, value]) => ['--formatter-property', `${name}=${value}`]),
  ]);
  const lines = printed.split('\n').filter((line) => line !== '');
  expect(lines).toHaveLength(records.length);
  const script = await readFile(new URL('../support/python/read-assignments.py', import.meta.url), 'utf8');
  return runPython(await pythonWith('requirements-avro.txt'), script, { registry: schemaRegistry.url, lines });
}

test('10,000 units asked over 32 connections of two processes keep their variant, and the topic has the same', async () => {
  const experiment = await createExperiment(run, { key: 'stable', coverage: 0.5 });
  await until('the other process knows the experiment', async () => {
    const body = { unit_type: 'user', unit_id: 'probe', requested_experiments: ['stable'], enroll: false };
    const answer = await fetch(`${urls()[1]}/v1/assignments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${run.access.ingestKey}` },
      body: JSON.stringify(body),
    });
    return answer.status === 200;
  });

  const [first, firstElsewhere] = await askForAll();
  expect(first).toEqual(firstElsewhere);
  const enrolled = first!.filter((variant) => variant !== null).length;
  expect(enrolled).toBeGreaterThan(unitCount * 0.45);
  expect(enrolled).toBeLessThan(unitCount * 0.55);
  const variants = new Set(experiment.variants.map(({ variant_id }) => variant_id));
  expect(new Set(first!.filter((variant) => variant !== null))).toEqual(variants);
  const stored = await readStored();
  expect(stored).toHaveLength(enrolled);

  await post(
    `${urls()[0]}/v1/experiments/stable/coverage`,
    run.access.adminKey,
    { coverage: 1, expected_version: experiment.version, reason: 'ramp' },
    [200],
  );
  // One process crashes, the other one stops in order; both come back knowing nothing but what is stored.
  const [one, two] = run.replicas('assignment-service');
  await one!.kill('SIGKILL');
  await one!.start();
  await two!.stop();
  await two!.start();

  const [second, secondElsewhere] = await askForAll();
  expect(second).toEqual(secondElsewhere);
  expect(first!.filter((variant, unit) => variant !== null && variant !== second![unit])).toEqual([]);
  expect(second!.filter((variant) => variant === null)).toEqual([]);
  const storedAfter = await readStored();
  const variantOf = new Map(storedAfter.map(({ unit_id, variant_id }) => [unit_id, variant_id]));
  expect(storedAfter).toHaveLength(unitCount);
  expect(second!.map((_, unit) => variantOf.get(unitIdOf(unit)))).toEqual(second);
  const byKey = new Map(storedAfter.map((row) => [row.key, row]));
  expect(stored.filter((row) => row.assigned_at !== byKey.get(row.key)?.assigned_at)).toEqual([]);

  await until('Kafka has every assignment', async () => {
    const { rows } = await run.database.pool.query(
      'SELECT FROM exp.assignment_outbox WHERE published_at IS NULL LIMIT 1',
    );
    return rows.length === 0;
  });
  const { folded, schemas } = await readTopicElsewhere();
  expect(schemas).toHaveLength(1);
  expect(Object.keys(folded).sort()).toEqual([...byKey.keys()].sort());
  expect(new Set(Object.values(folded).map(({ partition }) => partition)).size).toBe(topics.assignments.partitions);
  const decoded = Object.entries(folded).map(([key, { revision, partition, ...value }]) => {
    expect(revision).toBeGreaterThan(0);
    expect(partition).toBeLessThan(topics.assignments.partitions);
    return { key, ...value };
  });
  const sorted = (rows: { key: string }[]) => rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  expect(sorted(decoded)).toEqual(sorted(storedAfter));
  expect(run.unexpectedEnds).toEqual([]);
});
