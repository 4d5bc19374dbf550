// The client as its users see it, against services that answer from a script.
import { afterEach, expect, test, vi } from 'vitest';
import {
  fakeFetch,
  type Request,
  sampleDefinition,
  storeRequiredDefinition,
  toJson,
  treatmentId,
} from './client-samples.ts';
import { createClient } from './trialstream.ts';
import type { Client, ClientOptions } from './types.ts';

const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

const url = 'http://assignments.test/';
const unit = { unitType: 'user', unitId: 'u1' };

function clientOf(options: ClientOptions) {
  const errors: string[] = [];
  const client = createClient({
    apiKey: 'key',
    onError: (kind, error) => errors.push(`${kind}: ${error.message}`),
    ...options,
  });
  clients.push(client);
  return { client, errors };
}

const answerOf = (key: string, overrides = {}) => ({
  experiment_id: sampleDefinition().experiment_id,
  experiment_key: key,
  variant_id: treatmentId,
  variant_name: 'treatment',
  config: { params: { color: 'green' } },
  assigned_variant_id: treatmentId,
  reason: 'assigned',
  hash_bucket: 5_001,
  source: 'hashed',
  ...overrides,
});
const streamOf = (...messages: object[]): Response =>
  new Response(messages.map((message) => `event: change\ndata: ${JSON.stringify(message)}\n\n`).join(''));

test('remote mode asks the service with unit, context and key', async () => {
  const { fetch, requests } = fakeFetch(() => toJson({ assignments: [answerOf('checkout-button')], not_assigned: [] }));
  const { client } = clientOf({ assignmentUrl: url, mode: 'remote', fetch });
  const decision = await client.assign('checkout-button', { ...unit, context: { country: 'DE' } });
  expect(decision).toMatchObject({ variantName: 'treatment', config: { params: { color: 'green' } }, from: 'remote' });
  expect(requests).toEqual([
    {
      path: '/v1/assignments',
      body: {
        unit_type: 'user',
        unit_id: 'u1',
        context: { country: 'DE' },
        requested_experiments: ['checkout-button'],
      },
      headers: { authorization: 'Bearer key', 'content-type': 'application/json' },
    },
  ]);
});

test('an experiment that the service does not know does not keep the others from being answered', async () => {
  const answer = ({ body }: Request): Response => {
    const keys = (body as { requested_experiments: string[] }).requested_experiments;
    const position = keys.findIndex((key) => key.startsWith('unknown'));
    if (position < 0) return toJson({ assignments: keys.map((key) => answerOf(key)), not_assigned: [] });
    return toJson({ code: 'unknown-experiment', field: `requested_experiments[${position}]`, message: '' }, 400);
  };
  const { fetch, requests } = fakeFetch(answer);
  const { client, errors } = clientOf({ assignmentUrl: url, mode: 'remote', fetch });
  const decisions = await client.assignAll(unit, ['unknown-1', 'known', 'unknown-2']);
  expect(Object.fromEntries(Object.entries(decisions).map(([key, decision]) => [key, decision?.reason]))).toEqual({
    'unknown-1': 'unknown-experiment',
    known: 'assigned',
    'unknown-2': 'unknown-experiment',
  });
  expect([requests.length, errors]).toEqual([3, []]);
});

test('without the service a unit gets the default, and the error is reported', async () => {
  const { fetch } = fakeFetch(() => toJson({ code: 'unavailable', message: 'Postgres is away' }, 503));
  const { client, errors } = clientOf({ assignmentUrl: url, mode: 'remote', fetch });
  expect(await client.assign('checkout-button', unit)).toMatchObject({ variantId: null, reason: 'unavailable' });
  expect(errors).toEqual(['assignment: assignments were answered with 503: Postgres is away']);
});

test('local mode asks the service only for what it cannot decide, all in one request, and remembers the answer', async () => {
  const stored = storeRequiredDefinition({ key: 'stored' });
  const { fetch, requests } = fakeFetch(({ path }) => {
    if (path !== '/v1/assignments') return toJson({}, 503);
    return toJson({
      assignments: [answerOf('stored')],
      not_assigned: [{ experiment_id: 'x', experiment_key: 'paused', reason: 'paused', assigned_variant_id: null }],
    });
  });
  const { client } = clientOf({
    assignmentUrl: url,
    fetch,
    definitions: {
      etag: 'known',
      experiments: [
        sampleDefinition(),
        stored,
        sampleDefinition({ key: 'paused', status: 'paused', experiment_id: 'x' }),
      ],
    },
  });
  const decisions = await client.assignAll(unit, ['checkout-button', 'stored', 'paused']);
  const sent = requests.filter(({ path }) => path === '/v1/assignments').map(({ body }) => body);
  expect(sent).toMatchObject([{ requested_experiments: ['stored', 'paused'] }]);
  expect(decisions.stored).toMatchObject({ variantId: treatmentId, from: 'remote' });
  expect(decisions.paused).toMatchObject({ variantId: null, reason: 'paused' });
  expect(client.evaluate('stored', unit)).toMatchObject({ variantId: treatmentId, from: 'sticky' });
});

test('definitions follow the stream, and are asked for again after a missed change', async () => {
  const next = sampleDefinition({ key: 'next' });
  const { fetch, requests } = fakeFetch((_request, index) => {
    if (index === 0) {
      return streamOf(
        { etag: 'one', experiments: [sampleDefinition()] },
        { from: 'one', etag: 'two', experiments: [next], removed: ['checkout-button'] },
        { from: 'not seen', etag: 'four', experiments: [], removed: ['next'] },
      );
    }
    return index === 1 ? streamOf({ etag: 'four', experiments: [] }) : new Promise(() => undefined);
  });
  const seen: string[][] = [];
  const { client, errors } = clientOf({ assignmentUrl: url, fetch });
  client.onChange(() =>
    seen.push(['checkout-button', 'next'].filter((key) => client.evaluate(key, unit).reason === 'assigned')),
  );
  expect(await client.ready()).toBe(true);
  await vi.waitFor(() => expect(requests.length).toBe(3), { timeout: 5_000 });
  expect(seen).toEqual([['checkout-button'], ['next'], []]);
  expect(errors).toEqual(['definitions: a change of the definitions was missed']);
  // A client that has missed something asks for everything; one that was only cut off names what it has.
  expect(requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, undefined, '"four"']);
});

test('polling asks with the ETag and takes what is new', async () => {
  const { fetch, requests } = fakeFetch((_request, index) =>
    index === 1
      ? new Response(null, { status: 304 })
      : toJson({ etag: `state-${index}`, experiments: index === 0 ? [] : [sampleDefinition()] }),
  );
  const { client, errors } = clientOf({ assignmentUrl: url, fetch, pollIntervalMs: 5 });
  await vi.waitFor(() => expect(client.evaluate('checkout-button', unit).reason).toBe('assigned'));
  expect(requests.slice(0, 3).map(({ path, headers }) => [path, headers['if-none-match']])).toEqual([
    ['/v1/definitions', undefined],
    ['/v1/definitions', '"state-0"'],
    ['/v1/definitions', '"state-0"'],
  ]);
  expect(errors).toEqual([]);
});

test('a client whose definitions do not come is not ready, and asks the service', async () => {
  const { fetch } = fakeFetch(({ path }) =>
    path === '/v1/assignments'
      ? toJson({ assignments: [answerOf('checkout-button')], not_assigned: [] })
      : toJson({}, 503, { 'retry-after': '60' }),
  );
  const { client } = clientOf({ assignmentUrl: url, fetch });
  expect(await client.ready(10)).toBe(false);
  expect(client.evaluate('checkout-button', unit).reason).toBe('unavailable');
  expect(await client.assign('checkout-button', unit)).toMatchObject({ variantId: treatmentId, from: 'remote' });
});
