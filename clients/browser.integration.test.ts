// The published module in a real browser: decisions from the stream across origins, and exposures that leave when the tab is closed.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { type Chromium, startChromium } from '#tests/support/chromium.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { type IngestionInstance, startIngestion } from '#tests/support/ingestion-service-instance.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { readEvents } from '#tests/support/read-events.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { bundle } from './typescript/build.ts';

/** In the page's own code it would be hidden, and in real pages it may do little. */
const pageKey = 'a-key-that-pages-carry';
const ingestKey = 'a-key-that-only-the-shop-server-has';

let database: TestDatabase;
let topics: TestTopics;
let assignment: ServiceInstance;
let ingestion: IngestionInstance;
let shop: Server;
let shopUrl: string;
let assignmentUrl: string;
let chromium: Chromium;
/** The keys with which exposures came to the shop's own endpoint. */
const forwardedKeys: (string | undefined)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['events', 'assignments', 'definitions']);
  await addApiKey(database, testKey);
  await addApiKey(database, pageKey, ['assign', 'ingest']);
  await addApiKey(database, ingestKey, ['ingest']);
  const { code } = await bundle();
  // A shop: its page, the module, and an endpoint of its own that forwards exposures with the shop's key.
  shop = createServer(async (request, response) => {
    if (request.method === 'POST') {
      forwardedKeys.push(request.headers.authorization);
      const answer = await ingestion.post(Buffer.concat(await Array.fromAsync(request)));
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
    } else if (request.url === '/trialstream.js') {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(code);
    } else {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>shop</title>');
    }
  });
  await new Promise<void>((resolve) => shop.listen(0, '127.0.0.1', resolve));
  shopUrl = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`;
  const cors = { origins: [shopUrl] };
  assignment = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
    settings: { cors },
  });
  assignmentUrl = await assignment.app.listen({ host: '127.0.0.1', port: 0 });
  ingestion = await startIngestion({ database, topics, key: ingestKey, settings: { cors } });
  const created = await assignment.call('POST', '/v1/experiments', definitionOf({ key: 'shop-button' }));
  expect(created.status).toBe(201);
  chromium = await startChromium();
}, 300_000);
afterAll(async () => {
  await chromium?.[Symbol.asyncDispose]();
  await assignment?.stop();
  await ingestion?.stop();
  shop?.closeAllConnections();
  shop?.close();
  await topics?.drop();
  await database?.drop();
});

/** A page in which `client` is ready, and `errors` collects what it reports. */
async function openPage(options: object) {
  const page = await chromium.open(shopUrl);
  await until('the page is there', () => page.evaluate<boolean>("document.title === 'shop'"));
  const settings = { assignmentUrl, apiKey: pageKey, flushIntervalMs: 600_000, timeoutMs: 30_000, ...options };
  const isReady = await page.evaluate<boolean>(`(async () => {
    const { createClient, createLocalStorageStore } = await import('/trialstream.js');
    globalThis.errors = [];
    globalThis.client = createClient({
      ...${JSON.stringify(settings)},
      stickyStore: createLocalStorageStore(),
      onError: (kind, error) => errors.push(kind + ': ' + error.message),
    });
    return client.ready(30_000);
  })()`);
  expect([isReady, await page.evaluate('errors')]).toEqual([true, []]);
  const expose = (unitId: string) =>
    page.evaluate<{ variantId: string; isQueued: boolean }>(`(() => {
      const decision = client.evaluate('shop-button', { unitType: 'user', unitId: ${JSON.stringify(unitId)} });
      return { variantId: decision.variantId, isQueued: client.expose(decision) };
    })()`);
  return { page, expose };
}
const exposuresOf = async (unitId: string) =>
  (await readEvents(topics)).map(({ event }) => event).filter(({ unit_id }) => unit_id === unitId);

test('a page decides from the stream, remembers in localStorage, and hears of a change at once', async () => {
  const { page } = await openPage({});
  const evaluate = (unitId: string) =>
    page.evaluate<{ variantId: string | null; reason: string; from: string }>(
      `client.evaluate('shop-button', { unitType: 'user', unitId: '${unitId}' })`,
    );
  const first = await evaluate('visitor');
  expect(first).toMatchObject({ reason: 'assigned', from: 'local' });
  expect((await evaluate('visitor')).from).toBe('sticky');
  expect(await page.evaluate('Object.keys(localStorage).filter((key) => key.endsWith(":visitor")).length')).toBe(1);
  const stored = await page.evaluate<{ variantId: string }>(
    `client.assignAll({ unitType: 'user', unitId: 'visitor' }).then((all) => all['shop-button'])`,
  );
  expect(stored.variantId).toBe(first.variantId);
  const serving = { mode: 'off', expected_version: 1, reason: 'test' };
  expect((await assignment.call('POST', '/v1/experiments/shop-button/serving', serving)).status).toBe(200);
  await until('the page serves nothing', async () => (await evaluate('visitor')).reason === 'off');
  const back = { mode: 'as_assigned', expected_version: 2, reason: 'test' };
  expect((await assignment.call('POST', '/v1/experiments/shop-button/serving', back)).status).toBe(200);
  await until('and then as before', async () => (await evaluate('visitor')).variantId === first.variantId);
  expect(await page.evaluate('errors')).toEqual([]);
  await page.close();
});

test('what waits when the tab is closed leaves with a beacon, through the shop and without a key', async () => {
  const { page, expose } = await openPage({ ingestionUrl: shopUrl, ingestionApiKey: null });
  // What the browser says of the beacon can only be read by another page of the shop, after the first one is gone.
  await page.evaluate(`navigator.sendBeacon = (...call) => {
    localStorage.beacon = Navigator.prototype.sendBeacon.apply(navigator, call);
    return localStorage.beacon === 'true';
  }`);
  const { variantId, isQueued } = await expose('beacon-ünit');
  expect([isQueued, forwardedKeys]).toEqual([true, []]);
  await page.close();
  const [event] = await until('the exposure is on the topic', async () => {
    const events = await exposuresOf('beacon-ünit');
    return events.length > 0 && events;
  });
  expect(event).toMatchObject({ event_type: 'exposure', experiments: [{ variant_id: variantId }] });
  expect(forwardedKeys).toEqual([undefined]);
  const later = await chromium.open(shopUrl);
  await until('the browser has taken the beacon', () => later.evaluate<boolean>("localStorage.beacon === 'true'"));
  await later.close();
});

test('with a key it leaves too, in a request across origins that outlives the tab', async () => {
  const { page, expose } = await openPage({ ingestionUrl: ingestion.url });
  expect((await expose('keyed-unit')).isQueued).toBe(true);
  await page.close();
  await until('the exposure is on the topic', async () => (await exposuresOf('keyed-unit')).length === 1);
});

test('a page of an origin that is not configured gets nothing', async () => {
  const page = await chromium.open(shopUrl.replace('127.0.0.1', 'localhost'));
  await until('the page is there', () => page.evaluate<boolean>("document.title === 'shop'"));
  const outcome = await page.evaluate<string>(
    `fetch('${assignmentUrl}/v1/definitions', { headers: { authorization: 'Bearer ${pageKey}' } }).then(() => 'answered', () => 'refused')`,
  );
  expect(outcome).toBe('refused');
  await page.close();
});
