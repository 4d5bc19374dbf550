// Tests of the ingestion routes over a fake of the event producer: every answer of the contract, and no body that breaks it.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { ApiKey } from '#api/authentication.ts';
import type { RateLimiter } from '#api/rate-limit.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { tracingOff } from '#platform/telemetry/tracing.ts';
import { createFakeEventProducer } from '#producers/event-producer/fake-event-producer.ts';
import { createAcceptEvents } from './accept-events.ts';
import { createAdmission } from './admission.ts';
import { buildApp } from './app.ts';
import type { Definitions } from './definitions.ts';

const known = {
  experiment_id: '5b7f3b0e-1a55-5d0c-9c1e-000000000001',
  variant_id: '5b7f3b0e-1a55-5d0c-9c1e-00000000000a',
};
const now = Date.UTC(2026, 9, 1, 12);
const id = '0b0e8a4e-0000-4000-8000-000000000001';
const event = {
  event_id: id,
  event_type: 'purchase',
  unit_type: 'user',
  unit_id: 'unit-1',
  experiments: [known],
  context: { country: 'DE' },
  metrics: { revenue: 12.5 },
  payload: { cart: [1, 2] },
  timestamp: '2026-10-01T11:59:00+00:00',
};
const keys: Record<string, ApiKey> = {
  good: { name: 'shop', scopes: new Set(['ingest']) },
  reader: { name: 'reader', scopes: new Set(['read']) },
};

async function setUp(
  options: {
    fresh?: boolean;
    maxInFlightBytes?: number;
    callerShareRatio?: number;
    rateLimiter?: RateLimiter;
    corsOrigins?: string[];
  } = {},
) {
  const producer = createFakeEventProducer({ now: () => now, limits: { deliveryTimeoutMs: 200 } });
  const definitions: Definitions = {
    check: (ref) =>
      ref.experiment_id !== known.experiment_id
        ? 'unknown-experiment'
        : ref.variant_id === known.variant_id
          ? 'known'
          : 'unknown-variant',
    refreshSince: async () => options.fresh ?? true,
    isFresh: () => options.fresh ?? true,
  };
  const limits = { maxBodyBytes: 100_000, maxEvents: 50 };
  const admission = createAdmission({
    ...limits,
    maxInFlightRequests: 100,
    maxInFlightBytes: options.maxInFlightBytes ?? 1_000_000,
    callerShareRatio: options.callerShareRatio ?? 1,
  });
  const app = await buildApp({
    keys: { find: (secret) => keys[secret] ?? null },
    admission,
    acceptEvents: createAcceptEvents({ definitions, producer, tracing: tracingOff, now: () => now }),
    limits,
    rateLimiter: options.rateLimiter ?? { take: () => ({ allowed: true }) },
    corsOrigins: options.corsOrigins ?? [],
    readiness: () => ({ ready: true, detail: {} }),
    measure: () => undefined,
    metrics: createMetrics({ service: 'test' }),
    tracing: tracingOff,
    log: createSilentLogger(),
  });
  const post = (body: string | Buffer | object, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url: '/v1/events',
      headers: { authorization: 'Bearer good', 'content-type': 'application/json', ...headers },
      payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    });
  return { app, post, producer, admission };
}

describe('POST /v1/events', () => {
  it('accepts one event and answers with its id', async () => {
    const { post, producer } = await setUp();
    const answer = await post(event);
    expect(answer.statusCode).toBe(202);
    expect(answer.json()).toEqual({
      accepted: 1,
      rejected: 0,
      results: [{ index: 0, event_id: id, status: 'accepted' }],
    });
    expect(producer.requests.flat()).toHaveLength(1);
  });

  it.each<[string, unknown, string | undefined, string]>([
    ['an unknown field', { ...event, colour: 'red' }, 'colour', 'unknown-field'],
    ['a missing field', { ...event, unit_id: undefined }, 'unit_id', 'invalid'],
    ['an id without time', { ...event, timestamp: undefined }, 'timestamp', 'timestamp-required'],
    ['a time without zone', { ...event, timestamp: '2026-10-01T11:59:00' }, 'timestamp', 'invalid'],
    ['a time out of bounds', { ...event, timestamp: '2014-10-01T11:59:00Z' }, 'timestamp', 'invalid'],
    ['a metric that is no number', { ...event, metrics: { click: 'yes' } }, 'metrics.click', 'invalid'],
    ['nested context', { ...event, context: { a: { b: 1 } } }, 'context.a', 'invalid'],
    [
      'an unknown experiment',
      { ...event, experiments: [{ ...known, experiment_id: id }] },
      'experiments[0].experiment_id',
      'unknown-experiment',
    ],
    [
      'a variant of nothing',
      { ...event, experiments: [{ ...known, variant_id: id }] },
      'experiments[0].variant_id',
      'unknown-variant',
    ],
    ['an exposure to nothing', { ...event, event_type: 'exposure', experiments: [] }, 'experiments', 'invalid'],
  ])('refuses %s and names the field', async (_name, body, field, code) => {
    const { post, producer } = await setUp();
    const answer = await post(body as object);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code, field, rejected: 1 });
    expect(producer.requests).toEqual([]);
  });

  it('answers a mixed batch event by event', async () => {
    const { post } = await setUp();
    const answer = await post([
      event,
      { ...event, metrics: { click: null } },
      { ...event, event_id: id.replace('1', '2') },
    ]);
    expect(answer.statusCode).toBe(207);
    expect(answer.json()).toMatchObject({
      accepted: 2,
      rejected: 1,
      results: [
        { status: 'accepted' },
        { index: 1, status: 'rejected', field: 'events[1].metrics.click' },
        { status: 'accepted' },
      ],
    });
  });

  it('takes gzip and NDJSON, and a bad line refuses only itself', async () => {
    const { post, producer } = await setUp();
    const lines = `${JSON.stringify(event)}\n{"broken\n\n${JSON.stringify({ ...event, event_id: id.replace('1', '3') })}\n`;
    const answer = await post(gzipSync(lines), { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' });
    expect(answer.statusCode).toBe(207);
    expect(answer.json().results.map(({ status }: { status: string }) => status)).toEqual([
      'accepted',
      'rejected',
      'accepted',
    ]);
    expect(producer.requests.flat()).toHaveLength(2);
  });

  it.each<[string, Parameters<Awaited<ReturnType<typeof setUp>>['post']>, number]>([
    ['no JSON', ['{'], 400],
    ['an empty batch', [[]], 400],
    ['no key', [event, { authorization: '' }], 401],
    ['a key without the scope', [event, { authorization: 'Bearer reader' }], 403],
    ['another media type', ['x', { 'content-type': 'text/plain' }], 415],
    ['another encoding', ['x', { 'content-encoding': 'br' }], 415],
    ['a body that is too large', [JSON.stringify({ ...event, payload: 'x'.repeat(100_000) })], 413],
    ['a gzip bomb', [gzipSync(' '.repeat(200_000)), { 'content-encoding': 'gzip' }], 413],
    ['too many events', [Array.from({ length: 51 }, () => event)], 413],
  ])('refuses %s', async (_name, [body, headers], status) => {
    const { post, producer } = await setUp();
    const answer = await post(body, headers);
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    expect(producer.requests).toEqual([]);
  });

  it('gives a repeated request with an Idempotency-Key the same ids, per key name and index', async () => {
    const { post } = await setUp();
    const { event_id: _id, ...anonymous } = event;
    const ids = async (key: string): Promise<string[]> =>
      (await post([anonymous, anonymous], { 'idempotency-key': key }))
        .json()
        .results.map((result: { event_id: string }) => result.event_id);
    const [first, again, other] = [await ids('order-1'), await ids('order-1'), await ids('order-2')];
    expect(again).toEqual(first);
    expect(new Set([...first, ...other]).size).toBe(4);
    expect((await post({ ...anonymous, timestamp: undefined }, { 'idempotency-key': 'order-1' })).json()).toMatchObject(
      { code: 'timestamp-required' },
    );
  });

  it('answers 503 with Retry-After while Kafka is away or silent, and recovers', async () => {
    const { post, producer } = await setUp();
    for (const state of ['away', 'stalled'] as const) {
      producer.become(state);
      const answer = await post(event);
      expect(answer.statusCode).toBe(503);
      expect(answer.headers['retry-after']).toBe('1');
    }
    producer.become('available');
    await expect.poll(async () => (await post(event)).statusCode).toBe(202);
  });

  it('answers 503 rather than refusing an id that it cannot look up', async () => {
    const { post } = await setUp({ fresh: false });
    expect((await post({ ...event, experiments: [{ ...known, experiment_id: id }] })).statusCode).toBe(503);
    expect((await post(event)).statusCode).toBe(202);
  });

  it('answers 429 to a caller over its share and 503 when the service is full, and gives the room back', async () => {
    const share = await setUp({ maxInFlightBytes: 1_000, callerShareRatio: 0.1 });
    expect((await share.post(event)).statusCode).toBe(429);
    const full = await setUp({ maxInFlightBytes: 100 });
    const refused = await full.post(event);
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '1']);
    const { post, admission } = await setUp();
    await Promise.all([post(event), post('{'), post(event, { authorization: '' })]);
    await expect.poll(() => admission.inFlight()).toEqual({ requests: 0, bytes: 0 });
  });

  it('never answers 5xx and never hangs, for any JSON', async () => {
    const { post } = await setUp();
    const field = fc.constantFrom(...Object.keys(event), '__proto__', 'constructor', 'x');
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue())),
        fc.boolean(),
        async (value, merge) => {
          const body =
            merge && typeof value === 'object' && value !== null && !Array.isArray(value)
              ? { ...event, ...value }
              : value;
          const answer = await post(JSON.stringify(body));
          expect([202, 207, 400, 413]).toContain(answer.statusCode);
        },
      ),
      { numRuns: 500 },
    );
  });
});

it('documents itself', async () => {
  const { app } = await setUp();
  const openapi = (await app.inject('/openapi.json')).json();
  expect(Object.keys(openapi.paths)).toEqual(['/v1/events']);
  expect((await app.inject('/docs')).statusCode).toBe(200);
  expect((await app.inject('/metrics')).body).toContain('ingest_answers_total');
});

describe('limits on callers', () => {
  it('a key over its rate gets 429 with Retry-After, before its body is read', async () => {
    const { post } = await setUp({ rateLimiter: { take: () => ({ allowed: false, retryAfterSeconds: 7 }) } });
    const refused = await post('this is not even JSON');
    expect([refused.statusCode, refused.headers['retry-after'], refused.json().code]).toEqual([
      429,
      '7',
      'rate-limited',
    ]);
  });

  it('events that nest without end are refused one by one, whatever the field', async () => {
    const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const event = (field: string, depth: number) =>
      `{"event_type":"view","unit_type":"user","unit_id":"u","${field}":${deep(depth)}}`;
    const { post } = await setUp();
    for (const depth of [34, 1_000, 20_000]) {
      const answer = await post(`[${event('payload', 1)},${event('payload', depth)},${event('context', depth)}]`);
      expect(answer.statusCode, `depth ${depth}`).toBe(207);
      expect(answer.json().results.map(({ status }: { status: string }) => status)).toEqual([
        'accepted',
        'rejected',
        'rejected',
      ]);
    }
  });

  it('web pages may call only when their origin is configured', async () => {
    const preflight = async (corsOrigins: string[], origin: string) => {
      const { app } = await setUp({ corsOrigins });
      return app.inject({
        method: 'OPTIONS',
        url: '/v1/events',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
    };
    const allowed = await preflight(['https://shop.example'], 'https://shop.example');
    expect([allowed.statusCode, allowed.headers['access-control-allow-origin']]).toEqual([204, 'https://shop.example']);
    expect(allowed.headers['access-control-allow-headers']).toContain('authorization');
    const foreign = await preflight(['https://shop.example'], 'https://evil.example');
    expect(foreign.headers['access-control-allow-origin']).toBeUndefined();
    expect((await preflight([], 'https://shop.example')).statusCode).toBe(404);
  });

  it('a request that arrives while the service stops is answered as ever', async () => {
    const { app } = await setUp();
    const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }));
    const socket = connect(Number(port), '127.0.0.1');
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    const body = JSON.stringify(event);
    const head = `POST /v1/events HTTP/1.1\r\nhost: test\r\nauthorization: Bearer good\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
    const connected = once(app.server, 'connection');
    socket.write(head.slice(0, 20));
    const [accepted] = (await connected) as [Socket];
    await vi.waitFor(() => expect(accepted.bytesRead).toBe(20));
    const closed = app.close();
    // The service has begun to stop: it takes no new connection.
    await vi.waitFor(() => expect(app.server.listening).toBe(false));
    socket.write(`${head.slice(20)}${body}`);
    await once(socket, 'close');
    await closed;
    expect(received.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 202']);
    expect(received).toContain('Connection: close');
  });
});
