// The promise through every change: two instances and a remote client ask without a pause, and every answer is the stored row.
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

/** The part of the published client that this test uses; the client is type-checked on its own, as browsers see it. */
type RemoteClient = {
  assign(
    key: string,
    unit: { unitType: string; unitId: string },
  ): Promise<{ variantId: string | null; assignedVariantId: string | null; reason: string }>;
  close(): Promise<void>;
};
const clientModule = new URL('../../clients/typescript/trialstream.ts', import.meta.url).href;

const key = 'changing';
const unitCount = 1_000;
const unitIdOf = (number: number): string => `unit-${number}-é`;

let database: TestDatabase;
let topics: TestTopics;
let one: ServiceInstance;
let two: ServiceInstance;
let client: RemoteClient;

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
  const options = {
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  };
  one = await startInstance({ ...options, name: 'one' });
  two = await startInstance({ ...options, name: 'two' });
  const { createClient } = (await import(clientModule)) as { createClient: (options: object) => RemoteClient };
  client = createClient({
    mode: 'remote',
    assignmentUrl: await two.app.listen({ host: '127.0.0.1', port: 0 }),
    apiKey: testKey,
    timeoutMs: 30_000,
    onError: (kind: string, error: Error) => {
      throw new Error(`the client failed (${kind})`, { cause: error });
    },
  });
});
afterAll(async () => {
  await client?.close();
  await one?.stop();
  await two?.stop();
  await topics?.drop();
  await database?.drop();
});

/** What one asker was told of a unit: what is analyzed and what is delivered, by name, and why. */
type Told = { unitId: string; assigned: string | null; served: string | null; reason: string };

function askInstance(instance: ServiceInstance) {
  return async (unitId: string): Promise<Told> => {
    const body = { unit_type: 'user', unit_id: unitId, requested_experiments: [key] };
    const answer = await instance.call('POST', '/v1/assignments', body);
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    const { assignments, not_assigned: none } = answer.body as {
      assignments: { variant_id: string; assigned_variant_id: string | null; reason: string }[];
      not_assigned: { assigned_variant_id: string | null; reason: string }[];
    };
    const [served] = assignments;
    const told = served ?? none[0]!;
    return { unitId, assigned: told.assigned_variant_id, served: served?.variant_id ?? null, reason: told.reason };
  };
}
const askers = [
  (unitId: string) => askInstance(one)(unitId),
  (unitId: string) => askInstance(two)(unitId),
  async (unitId: string): Promise<Told> => {
    const decision = await client.assign(key, { unitType: 'user', unitId });
    return { unitId, assigned: decision.assignedVariantId, served: decision.variantId, reason: decision.reason };
  },
];

const readRows = async (): Promise<Map<string, string>> => {
  const { rows } = await database.pool.query<{ unit_id: string; row: string }>(
    "SELECT unit_id, concat_ws(' ', variant_id, assigned_at, experiment_version, probability, enrolment_share) AS row FROM exp.assignments",
  );
  return new Map(rows.map(({ unit_id, row }) => [unit_id, row]));
};

test('every change is made once, no stored row ever changes, and every answer follows the row and the serving', async () => {
  const created = await one.call('POST', '/v1/experiments', definitionOf({ key, coverage: 0.2 }));
  expect(created.status).toBe(201);
  const { variants } = created.body as { variants: { name: string; variant_id: string }[] };
  const [control, treatment] = variants.map(({ variant_id: id }) => id) as [string, string];

  const told: Told[] = [];
  let isOver = false;
  const working = askers.flatMap((ask, asker) =>
    [0, 1].map(async (lane) => {
      // Each lane goes through the units in an order of its own, so that first requests meet all the time.
      for (let number = asker * 331 + lane * 173; !isOver; number += 7) {
        told.push(await ask(unitIdOf(number % unitCount)));
      }
    }),
  );

  let version = 1;
  let rows = await readRows();
  /** Both instances get the change at once, decided on the same version: one makes it, the other one is refused. */
  const change = async (what: string, request: object): Promise<void> => {
    const body = { reason: 'test', expected_version: version, ...request };
    const answers = await Promise.all(
      [one, two].map((instance) => instance.call('POST', `/v1/experiments/${key}/${what}`, body)),
    );
    expect(answers.map(({ status }) => status).sort(), JSON.stringify(answers)).toEqual([200, 409]);
    expect(answers.find(({ status }) => status === 409)?.body).toMatchObject({ code: 'stale-version' });
    version += 1;
  };
  /** Every asker has begun to tell so after it was seen, and all that they say from then on is so. */
  const expectFromNowOn = async (what: string, isSo: (one: Told) => boolean): Promise<void> => {
    await until(what, async () => (await Promise.all(askers.map((ask) => ask(unitIdOf(0))))).every(isSo), {
      intervalMs: 5,
    });
    // What was asked before that is still under way is let pass.
    await Promise.all(askers.map((ask) => ask(unitIdOf(0))));
    const start = told.length + askers.length * 2;
    await until(`more answers while ${what}`, () => told.length > start + 300, { intervalMs: 5 });
    expect(told.slice(start).find((answer) => !isSo(answer))).toBeUndefined();
    const next = await readRows();
    for (const [unitId, row] of rows) expect(next.get(unitId)).toBe(row);
    rows = next;
  };
  const follows = ({ assigned, served }: Told): boolean => served === assigned;

  for (const coverage of [0.6, 1]) {
    await change('coverage', { coverage });
    await expectFromNowOn(`coverage is ${coverage}`, follows);
  }
  await change('transitions', { to: 'paused' });
  await expectFromNowOn('nobody is enrolled', follows);
  const enrolled = rows.size;
  await expectFromNowOn('still nobody is enrolled', follows);
  expect(rows.size).toBe(enrolled);
  await change('serving', { mode: 'off' });
  await expectFromNowOn('nothing is delivered', ({ served, reason }) => served === null && reason === 'off');
  await change('transitions', { to: 'running' });
  await change('serving', { mode: 'as_assigned' });
  await expectFromNowOn('delivery is as assigned', follows);
  await change('serving', { mode: 'all_to', variant: 'treatment' });
  await expectFromNowOn('treatment is delivered to all', ({ served }) => served === treatment);
  await change('transitions', { to: 'completed', winner: 'control' });
  await expectFromNowOn('the winner is delivered', ({ served, reason }) => served === control && reason === 'all-to');

  isOver = true;
  await Promise.all(working);
  const stored = await readRows();
  expect(stored.size).toBeGreaterThan(unitCount / 2);
  for (const { unitId, assigned } of told) {
    if (assigned !== null) expect(stored.get(unitId)?.split(' ')[0]).toBe(assigned);
  }
  const { rows: history } = await database.pool.query('SELECT version FROM exp.experiment_versions ORDER BY version');
  expect(history.map((row: { version: number }) => row.version)).toEqual(
    Array.from({ length: version }, (_, index) => index + 1),
  );
  await until('Kafka has every assignment', async () => {
    const { rows: open } = await database.pool.query('SELECT FROM exp.assignment_outbox WHERE published_at IS NULL');
    return open.length === 0;
  });
  const records = await topics.readAll('assignments');
  expect(new Set(records.map(({ key: recordKey }) => recordKey?.toString().split(':')[1]))).toEqual(
    new Set(stored.keys()),
  );
});
