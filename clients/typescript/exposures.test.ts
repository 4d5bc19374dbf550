// Exposures: what counts as one, and how they are delivered when the service is slow, away or picky, or the page goes away.
import { afterEach, expect, test, vi } from 'vitest';
import { idOfName } from '../../domain/assignment/deterministic-ids.ts';
import { controlId, fakeFetch, type Request, sampleDefinition, toJson } from './client-samples.ts';
import { createClient } from './trialstream.ts';
import type { Client, ClientOptions } from './types.ts';

const clients: Client[] = [];
afterEach(async () => {
  vi.unstubAllGlobals();
  for (const client of clients.splice(0)) await client.close();
});

const nowMs = Date.parse('2026-05-01T10:00:00.000Z');
const experimentId = sampleDefinition().experiment_id;

function clientOf(answer: (request: Request, index: number) => Response, options: ClientOptions = {}) {
  const errors: string[] = [];
  const { fetch, requests } = fakeFetch(answer);
  const client = createClient({
    definitions: { etag: '', experiments: [sampleDefinition()] },
    ingestionUrl: 'http://events.test',
    ingestionApiKey: 'key',
    flushIntervalMs: 5,
    nowMs: () => nowMs,
    fetch,
    onError: (_kind, error) => errors.push(error.message),
    ...options,
  });
  clients.push(client);
  const expose = (unitId: string) => client.expose(client.evaluate('checkout-button', { unitType: 'user', unitId }));
  const unitsOf = ({ body }: Request) =>
    (body as { events: { unit_id: string }[] }).events.map(({ unit_id }) => unit_id);
  return { client, errors, requests, expose, sent: () => requests.map(unitsOf) };
}
const accepted = (): Response => toJson({ accepted: 1, rejected: 0, results: [] }, 202);

test('an exposure has an id that every client derives alike, and is sent once a day', async () => {
  const { client, expose, requests } = clientOf(accepted);
  expect([expose('u/1'), expose('u/1')]).toEqual([true, false]);
  await client.flush();
  const { variantId } = client.evaluate('checkout-button', { unitType: 'user', unitId: 'u/1' });
  expect(requests).toMatchObject([
    {
      path: '/v1/events',
      headers: { authorization: 'Bearer key' },
      body: {
        events: [
          {
            event_id: idOfName(`exposure/${experimentId}/${variantId}/2026-05-01/user/u/1`),
            event_type: 'exposure',
            unit_type: 'user',
            unit_id: 'u/1',
            experiments: [{ experiment_id: experimentId, variant_id: variantId }],
            timestamp: '2026-05-01T10:00:00.000Z',
          },
        ],
      },
    },
  ]);
});

test('nothing is exposed without a variant, by test units, or while one variant is served to all', () => {
  const expectNone = (definition: ReturnType<typeof sampleDefinition>): void => {
    const { expose, requests } = clientOf(accepted, { definitions: { etag: '', experiments: [definition] } });
    expect([expose('u1'), requests]).toEqual([false, []]);
  };
  expectNone(sampleDefinition({ coverage_basis_points: 0 }));
  expectNone(sampleDefinition({ forced_variants: { u1: controlId } }));
  expectNone(sampleDefinition({ serving: { mode: 'all_to', variant_id: controlId } }));
});

test('exposures share requests, up to the batch size', async () => {
  const { client, expose, sent } = clientOf(accepted, { maxBatchEvents: 2, flushIntervalMs: 60_000 });
  for (const unitId of ['a', 'b', 'c']) expose(unitId);
  expect(await client.flush()).toBe(0);
  expect(sent()).toEqual([['a', 'b'], ['c']]);
});

test('what was not delivered is sent again, unchanged and in order, after the pause that the service asks for', async () => {
  const failures = [
    () => toJson({ message: 'Kafka is away' }, 503, { 'retry-after': '1' }),
    () => {
      throw new Error('connection refused');
    },
  ];
  const { client, expose, errors, requests, sent } = clientOf((_request, index) => failures[index]?.() ?? accepted());
  expose('a');
  const startedMs = performance.now();
  await vi.waitFor(() => expect(requests.length).toBe(3), { timeout: 5_000 });
  expect(performance.now() - startedMs).toBeGreaterThan(1_000);
  expect(await client.flush()).toBe(0);
  expect(sent()).toEqual([['a'], ['a'], ['a']]);
  expect(requests[2]?.body).toEqual(requests[0]?.body);
  expect(errors).toEqual(['exposures were answered with 503: Kafka is away', 'connection refused']);
});

test('what is refused for good is reported and not sent again', async () => {
  const results = [{ index: 1, status: 'rejected', code: 'unknown-variant', message: 'is not a variant' }];
  const { client, expose, errors, sent } = clientOf(() => toJson({ accepted: 1, rejected: 1, results }, 207));
  expose('a');
  expose('b');
  expect(await client.flush()).toBe(0);
  expect(sent()).toEqual([['a', 'b']]);
  expect(errors).toEqual(['exposures were answered with 207: is not a variant']);
});

test('the queue is bounded, and a client that is closed says what it could not deliver', async () => {
  const { client, expose, errors } = clientOf(() => toJson({}, 503), { maxQueuedEvents: 1 });
  expect([expose('a'), expose('b'), expose('b')]).toEqual([true, false, false]);
  await client.close();
  expect(errors.slice(0, 2)).toEqual(Array(2).fill('too many exposures wait already'));
  expect(errors.at(-1)).toBe('1 exposures are not delivered');
});

function stubPage() {
  const page = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
  const beacons: { url: string; body: Blob }[] = [];
  vi.stubGlobal('document', page);
  vi.stubGlobal('navigator', {
    sendBeacon: (url: string, body: Blob) => beacons.push({ url, body }) > 0,
  });
  return { hide: () => page.dispatchEvent(new Event('visibilitychange')), beacons };
}

test('when the page goes away, what waits leaves with a beacon', async () => {
  const { hide, beacons } = stubPage();
  const { client, expose, requests } = clientOf(accepted, { ingestionApiKey: null, flushIntervalMs: 60_000 });
  expose('a');
  hide();
  expect(beacons.map(({ url }) => url)).toEqual(['http://events.test/v1/events']);
  expect(beacons[0]?.body.type).toBe('application/json');
  expect(JSON.parse((await beacons[0]?.body.text()) ?? '')).toMatchObject({ events: [{ unit_id: 'a' }] });
  expect(await client.flush()).toBe(0);
  expect(requests).toEqual([]);
});

test('with a key, which a beacon cannot carry, a request that outlives the page takes its place', async () => {
  const { hide, beacons } = stubPage();
  const { client, expose, sent } = clientOf(accepted, { flushIntervalMs: 60_000 });
  expose('a');
  hide();
  await vi.waitFor(async () => expect(await client.flush()).toBe(0));
  expect([sent()[0], beacons]).toEqual([['a'], []]);
});
