// Clients of both languages, local and remote, with two instances of each service: they agree while an experiment changes, and so do stored rows.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { idOfName } from '#domain/assignment/deterministic-ids.ts';
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
import { until } from '#tests/support/poll.ts';
import { type PythonClient, type PythonDecision, startPythonClient } from '#tests/support/python-client.ts';
import { readEvents } from '#tests/support/read-events.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { bundle } from './typescript/build.ts';
import type { Client, ClientOptions } from './typescript/types.ts';

const key = 'checkout-button';
const units = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? `unit-${index}` : `Ünit-${index}-日本`));

type Answer = { variant: string | null; assigned: string | null; reason: string; origin: string };
type Participant = {
  readonly name: string;
  /** Without a request; undefined for remote clients. */
  readonly evaluate?: (unitId: string) => Promise<Answer>;
  readonly assign: (unitId: string) => Promise<Answer>;
};

let database: TestDatabase;
let topics: TestTopics;
let services: ServiceInstance[];
let urls: string[];
let ingestion: IngestionInstance[];
let createClient: (options: ClientOptions) => Client;
const errors: string[] = [];
const typescriptClients: Client[] = [];
const pythonClients: PythonClient[] = [];
let bundleFolder: string;

const optionsFor = (index: number) => ({ assignmentUrl: urls[index]!, ingestionUrl: ingestion[index]!.url });

function typescript(index: number, options: ClientOptions = {}): Client {
  const client = createClient({
    ...optionsFor(index),
    apiKey: testKey,
    onError: (kind, error) => errors.push(`${kind}: ${error.message}`),
    ...options,
  });
  typescriptClients.push(client);
  return client;
}

function python(index: number, options: object = {}): PythonClient {
  const { assignmentUrl, ingestionUrl } = optionsFor(index);
  const client = startPythonClient({
    assignment_url: assignmentUrl,
    ingestion_url: ingestionUrl,
    api_key: testKey,
    ...options,
  });
  pythonClients.push(client);
  return client;
}

const toAnswer = (decision: PythonDecision): Answer => ({
  variant: decision.variant_name,
  assigned: decision.assigned_variant_id,
  reason: decision.reason,
  origin: decision.origin,
});

function typescriptParticipant(name: string, client: Client, isLocal: boolean): Participant {
  const read = ({ variantName, assignedVariantId, reason, from }: Awaited<ReturnType<Client['assign']>>): Answer => ({
    variant: variantName,
    assigned: assignedVariantId,
    reason,
    origin: from,
  });
  return {
    name,
    assign: async (unitId) => read(await client.assign(key, { unitType: 'user', unitId })),
    ...(isLocal
      ? { evaluate: async (unitId: string) => read(client.evaluate(key, { unitType: 'user', unitId })) }
      : {}),
  };
}

function pythonParticipant(name: string, client: PythonClient, isLocal: boolean): Participant {
  const unitOf = (unitId: string): string[] => ['user', unitId];
  return {
    name,
    assign: async (unitId) => {
      const decisions = await client.ask<Record<string, PythonDecision>>({
        call: 'assign_all',
        unit: unitOf(unitId),
        keys: [key],
      });
      return toAnswer(decisions[key]!);
    },
    ...(isLocal
      ? {
          evaluate: async (unitId: string) =>
            toAnswer(await client.ask<PythonDecision>({ call: 'evaluate', unit: unitOf(unitId), keys: [key] })),
        }
      : {}),
  };
}

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['events', 'assignments', 'definitions']);
  await addApiKey(database, testKey);
  const start = () =>
    startInstance({
      database,
      kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
      registryUrl: stackEndpoints().schemaRegistry.url,
    });
  services = await Promise.all([start(), start()]);
  urls = await Promise.all(services.map(({ app }) => app.listen({ host: '127.0.0.1', port: 0 })));
  const ingest = () => startIngestion({ database, topics, key: testKey });
  ingestion = await Promise.all([ingest(), ingest()]);
  bundleFolder = await mkdtemp(join(tmpdir(), 'trialstream-client-'));
  const file = join(bundleFolder, 'trialstream.mjs');
  await writeFile(file, (await bundle()).code);
  ({ createClient } = (await import(pathToFileURL(file).href)) as { createClient: typeof createClient });
});
afterAll(async () => {
  await Promise.all([...typescriptClients.map((client) => client.close()), ...pythonClients.map(({ stop }) => stop())]);
  await Promise.all([...(services ?? []), ...(ingestion ?? [])].map((instance) => instance.stop()));
  if (bundleFolder !== undefined) await rm(bundleFolder, { recursive: true, force: true });
  await topics?.drop();
  await database?.drop();
});

type StoredRow = { unit_id: string; variant_id: string; experiment_version: number; assigned_at: Date };
const readStored = async (): Promise<StoredRow[]> => {
  const { rows } = await database.pool.query<StoredRow>(
    'SELECT unit_id, variant_id::text, experiment_version, assigned_at FROM exp.assignments ORDER BY unit_id COLLATE "C"',
  );
  return rows;
};

async function change(instance: number, path: string, body: object): Promise<void> {
  const current = await services[instance]!.call('GET', `/v1/experiments/${key}`);
  const { version } = current.body as { version: number };
  const answer = await services[instance]!.call('POST', `/v1/experiments/${key}/${path}`, {
    ...body,
    expected_version: version,
    reason: 'test',
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
}

test('local and remote clients follow each change, never contradict each other, and no stored row changes', async () => {
  const created = await services[0]!.call('POST', '/v1/experiments', definitionOf({ key, coverage: 0.3 }));
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  const participants = [
    typescriptParticipant('TypeScript, local, first instance', typescript(0), true),
    typescriptParticipant('TypeScript, remote, second instance', typescript(1, { mode: 'remote' }), false),
    pythonParticipant('Python, local, second instance', python(1), true),
    pythonParticipant('Python, polling, first instance', python(0, { poll_interval_s: 0.05 }), true),
    pythonParticipant('Python, remote, first instance', python(0, { mode: 'remote' }), false),
  ];
  const local = participants.filter(({ evaluate }) => evaluate !== undefined);
  /** Waits until every client and both instances say of a unit what is expected after a change. */
  const settled = async (unit: string | (() => string), expected: Partial<Answer>) => {
    for (const { name, evaluate, assign } of participants) {
      await until(`${name} says ${JSON.stringify(expected)}`, async () => {
        const answer = await (evaluate ?? assign)(typeof unit === 'string' ? unit : unit());
        return Object.entries(expected).every(([field, value]) => answer[field as keyof Answer] === value);
      });
    }
  };
  /** What all of them answer, unit by unit; fails when two differ. */
  const askAll = async (how: 'evaluate' | 'assign'): Promise<Map<string, Answer>> => {
    const answers = new Map<string, Answer>();
    for (const unitId of units) {
      for (const participant of how === 'assign' ? participants : local) {
        const { origin: _origin, ...answer } = await participant[how]!(unitId);
        const { origin: _first, ...first } = answers.get(unitId) ?? { ...answer, origin: '' };
        expect(answer, `${participant.name}, ${unitId}`).toEqual(first);
        answers.set(unitId, { ...answer, origin: '' });
      }
    }
    return answers;
  };
  const variantsOf = (answers: Map<string, Answer>) => units.map((unitId) => answers.get(unitId)?.assigned ?? null);
  const storedVariants = async () => {
    const stored = new Map((await readStored()).map((row) => [row.unit_id, row.variant_id]));
    return units.map((unitId) => stored.get(unitId) ?? null);
  };

  for (const { name, evaluate, assign } of participants) {
    await until(`${name} knows the experiment`, async () => {
      const { reason } = await (evaluate ?? assign)('anybody');
      return reason !== 'unavailable' && reason !== 'unknown-experiment';
    });
  }
  const first = variantsOf(await askAll('assign'));
  const enrolled = first.filter((variant) => variant !== null).length;
  expect(enrolled).toBeGreaterThan(3);
  expect(enrolled).toBeLessThan(25);
  expect(await storedVariants()).toEqual(first);
  const firstRows = (await readStored()).filter(({ unit_id }) => units.includes(unit_id));
  const outside = units[first.indexOf(null)]!;

  // Coverage is raised on one instance: nobody moves, and what local clients compute is what is stored when remote ones ask.
  await change(0, 'coverage', { coverage: 1 });
  for (const { name, evaluate } of local) {
    await until(`${name} enrolls more`, async () => (await evaluate!(outside)).reason === 'assigned');
  }
  const computed = variantsOf(await askAll('evaluate'));
  expect(computed.every((variant) => variant !== null)).toBe(true);
  first.forEach((variant, index) => {
    if (variant !== null) expect(computed[index]).toBe(variant);
  });
  expect(variantsOf(await askAll('assign'))).toEqual(computed);
  expect(await storedVariants()).toEqual(computed);
  const isFirst = ({ unit_id }: StoredRow) => firstRows.some((row) => row.unit_id === unit_id);
  const rows = (await readStored()).filter(({ unit_id }) => units.includes(unit_id));
  expect(rows.filter(isFirst)).toEqual(firstRows);

  // Delivery stops on the other instance: nobody gets a variant, and all keep their assignment.
  const unchangedRows = async () => (await readStored()).filter(({ unit_id }) => units.includes(unit_id));
  await change(1, 'serving', { mode: 'off' });
  await settled(units[0]!, { reason: 'off', variant: null });
  const off = await askAll('assign');
  expect([...off.values()].every(({ variant, reason }) => variant === null && reason === 'off')).toBe(true);
  expect(variantsOf(off)).toEqual(computed);
  expect(await unchangedRows()).toEqual(rows);

  // One variant for all, and back: as before.
  await change(0, 'serving', { mode: 'all_to', variant: 'treatment' });
  await settled(units[0]!, { reason: 'all-to', variant: 'treatment' });
  expect(variantsOf(await askAll('assign'))).toEqual(computed);
  await change(1, 'serving', { mode: 'as_assigned' });
  await settled(units[0]!, { reason: 'assigned' });

  // Enrolment stops: those who are in stay, others get nothing and leave no row.
  await change(1, 'transitions', { to: 'paused' });
  let asked = 0;
  // A new unit each time: what a client has said once holds for that unit.
  await settled(() => `asked-${asked++}`, { reason: 'paused', variant: null });
  expect(variantsOf(await askAll('assign'))).toEqual(computed);
  for (const { assign } of participants) expect(await assign('too late')).toMatchObject({ reason: 'paused' });
  expect(await unchangedRows()).toEqual(rows);
  expect((await readStored()).filter(({ unit_id }) => unit_id === 'too late')).toEqual([]);
  // The polling client and the remote ones cannot miss anything; streams have not been interrupted.
  expect(errors).toEqual([]);
  for (const client of pythonClients) expect(await client.ask({ call: 'errors' })).toEqual([]);
}, 120_000);

test('the same exposure from two clients, two languages and two instances is one event', async () => {
  const running = definitionOf({ key: 'exposed', coverage: 1 });
  expect((await services[0]!.call('POST', '/v1/experiments', running)).status).toBe(201);
  const [client, pythonClient] = [typescript(0), python(1)];
  const unit = { unitType: 'user', unitId: 'exposed/ünit' };
  await until('both know the experiment', async () => {
    const decision = await pythonClient.ask<PythonDecision>({
      call: 'evaluate',
      unit: ['user', unit.unitId],
      keys: ['exposed'],
    });
    return decision.variant_id !== null && client.evaluate('exposed', unit).variantId === decision.variant_id;
  });
  const decision = client.evaluate('exposed', unit);
  const fromPython = await pythonClient.ask<PythonDecision>({
    call: 'evaluate',
    unit: ['user', unit.unitId],
    keys: ['exposed'],
  });
  const day = new Date().toISOString().slice(0, 10);
  expect(client.expose(decision)).toBe(true);
  const asked = { unit: ['user', unit.unitId], decision: fromPython };
  expect(await pythonClient.ask({ call: 'expose', ...asked })).toBe(true);
  const trackedId = await pythonClient.ask<string>({
    call: 'track',
    ...asked,
    event_type: 'purchase',
    metrics: { revenue: 12.5 },
  });
  expect([await client.flush(), await pythonClient.ask({ call: 'flush' })]).toEqual([0, 0]);
  const events = (await readEvents(topics)).map(({ event }) => event).filter(({ unit_id }) => unit_id === unit.unitId);
  const exposures = events.filter(({ event_type }) => event_type === 'exposure');
  const name = `exposure/${decision.experimentId}/${decision.variantId}/${day}/user/${unit.unitId}`;
  expect(exposures.map(({ event_id }) => event_id)).toEqual([idOfName(name), idOfName(name)]);
  expect(exposures[0]?.experiments).toEqual(exposures[1]?.experiments);
  expect(events.filter(({ event_type }) => event_type === 'purchase')).toMatchObject([
    { event_id: trackedId, metrics: { revenue: 12.5 }, experiments: [{ variant_id: decision.variantId }] },
  ]);
  expect(errors).toEqual([]);
});
