// Tests of the workloads' HTTP port and delivery: retry with the same ids, batches, and what becomes of each event.

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type BusyRetryDeps, parseRetryAfterMs, postUntilAnswered, ServiceBusyError } from './busy-retry.ts';
import { deliverAssignments, deliverEvents } from './deliver.ts';
import { createHttpWorkloadPort } from './http-workload-port.ts';
import type { EventBody, WorkloadPort } from './workload-port.ts';

type Received = { path: string; authorization: string | undefined; body: unknown };
type Reply = { status: number; body?: unknown; headers?: Record<string, string> };

const openServers: Server[] = [];
afterEach(() => {
  for (const server of openServers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A real HTTP server that answers with the given replies in turn, the last one for ever. */
async function startServer(...replies: Reply[]) {
  const received: Received[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    const chunks = await Array.fromAsync(request as AsyncIterable<Buffer>);
    received.push({
      path: request.url ?? '',
      authorization: request.headers.authorization,
      body: JSON.parse(Buffer.concat(chunks).toString()),
    });
    const { status, body, headers } = replies[Math.min(received.length, replies.length) - 1] as Reply;
    response.writeHead(status, headers).end(body === undefined ? '' : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  openServers.push(server);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

/** A clock that stands still but for the sleeps, which are recorded instead of slept. */
function fakeTime() {
  const sleeps: number[] = [];
  const deps: BusyRetryDeps = {
    fetch: globalThis.fetch,
    sleep: async (ms) => {
      sleeps.push(ms);
    },
    nowMs: () => sleeps.reduce((sum, ms) => sum + ms, 0),
  };
  return { sleeps, deps };
}

function eventOf(event_id: string): EventBody {
  const unit = { unit_type: 'household', unit_id: 'u' };
  return {
    event_id,
    event_type: 'exposure',
    ...unit,
    experiments: [],
    context: {},
    metrics: {},
    timestamp: '2026-01-05T00:00:00Z',
  };
}

async function portFor(...replies: Reply[]) {
  const { url, received } = await startServer(...replies);
  const { sleeps, deps } = fakeTime();
  const port = createHttpWorkloadPort(
    { assignmentUrl: url, ingestionUrl: url, apiKey: 'key', adminKey: 'admin' },
    deps,
  );
  return { port, received, sleeps };
}

describe('postUntilAnswered', () => {
  test('repeats the same body while the service is busy, waiting as long as it asks', async () => {
    const { port, received, sleeps } = await portFor(
      { status: 429, headers: { 'retry-after': '2' } },
      { status: 503, headers: { 'retry-after': '0.5' } },
      { status: 503 },
      { status: 202 },
    );
    const outcomes = await port.send([eventOf('a')]);
    expect(outcomes).toEqual([{ event_id: 'a', status: 'accepted' }]);
    expect(sleeps).toEqual([2000, 500, 400]);
    expect(received.map(({ body }) => body)).toEqual(Array.from({ length: 4 }, () => [eventOf('a')]));
  });

  test('repeats after a broken connection', async () => {
    const { url } = await startServer({ status: 202 });
    const { sleeps, deps } = fakeTime();
    let calls = 0;
    const flaky: typeof fetch = (...args) =>
      calls++ === 0 ? Promise.reject(new TypeError('fetch failed')) : fetch(...args);
    const answer = await postUntilAnswered({ url, apiKey: 'key', body: {} }, { ...deps, fetch: flaky });
    expect(answer.status).toBe(202);
    expect(sleeps).toEqual([100]);
  });

  test('gives up when the next attempt would begin after the deadline', async () => {
    const { url, received } = await startServer({ status: 503, headers: { 'retry-after': '20' } });
    const { deps } = fakeTime();
    const given = postUntilAnswered({ url, apiKey: 'key', body: {} }, deps, {
      deadlineMs: 50_000,
      attemptTimeoutMs: 5000,
    });
    await expect(given).rejects.toThrow(ServiceBusyError);
    await expect(given).rejects.toThrow('status 503 after 3 attempts');
    expect(received).toHaveLength(3);
  });

  test.each([
    ['3', 3000],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 9000],
    ['-1', null],
    ['soon', null],
    ['', null],
    [null, null],
  ])('reads Retry-After %j as %j ms', (header, expected) => {
    expect(parseRetryAfterMs(header, 1000)).toBe(expected);
  });
});

describe('the HTTP port', () => {
  test('takes the outcome of each event from a mixed answer', async () => {
    const results = [
      { index: 1, event_id: 'b', status: 'rejected', code: 'invalid', message: 'metrics.x must be a number' },
      { index: 0, event_id: 'a', status: 'accepted' },
    ];
    const { port, received } = await portFor({ status: 207, body: { results } });
    expect(await port.send([eventOf('a'), eventOf('b')])).toEqual([
      { event_id: 'a', status: 'accepted' },
      { event_id: 'b', status: 'rejected', code: 'invalid', message: 'metrics.x must be a number' },
    ]);
    expect(received[0]).toMatchObject({ path: '/v1/events', authorization: 'Bearer key' });
  });

  test('halves a batch that is too large', async () => {
    const { port, received } = await portFor({ status: 413 }, { status: 202 });
    expect(await port.send(['a', 'b', 'c'].map(eventOf))).toHaveLength(3);
    expect(received.map(({ body }) => (body as unknown[]).length)).toEqual([3, 2, 1]);
  });

  test('fails with what the service said when a request is refused as a whole', async () => {
    const { port } = await portFor({ status: 401, body: { code: 'unauthorized' } });
    await expect(port.send([eventOf('a')])).rejects.toThrow(
      'POST /v1/events was refused with status 401: {"code":"unauthorized"}',
    );
    const unit = { unit_type: 'household', unit_id: 'u' };
    await expect(port.assign(unit, { experiments: ['x'], context: {} })).rejects.toThrow(
      'POST /v1/assignments was refused',
    );
  });

  test('asks for assignments and keeps those with a variant, by assignment and not by what is served', async () => {
    const served = {
      experiment_id: 'e',
      variant_id: 'v1',
      assigned_variant_id: 'v2',
      variant_name: 'control',
      config: {},
    };
    const notEnrolled = { experiment_id: 'f', variant_id: null, reason: 'not_enrolled' };
    const { port, received } = await portFor({ status: 200, body: { assignments: [served, notEnrolled] } });
    const unit = { unit_type: 'household', unit_id: 'u' };
    expect(await port.assign(unit, { experiments: ['e', 'f'], context: { region: 'asia' } })).toEqual([
      { experiment_id: 'e', variant_id: 'v2', variant_name: 'control' },
    ]);
    expect(received[0]?.body).toEqual({ ...unit, context: { region: 'asia' }, requested_experiments: ['e', 'f'] });
  });

  test('imports with the admin key, and not without one', async () => {
    const assignment = {
      experiment_id: 'e',
      variant_id: 'v',
      unit_type: 't',
      unit_id: 'u',
      assigned_at: '2026-01-05T00:00:00Z',
    };
    const { port, received } = await portFor({ status: 200, body: { imported: 1 } });
    expect(await port.importAssignments([assignment, { ...assignment, unit_id: 'w' }])).toEqual({
      imported: 1,
      alreadyThere: 1,
    });
    expect(received[0]).toMatchObject({ path: '/v1/assignments/import', authorization: 'Bearer admin' });
    const keyless = createHttpWorkloadPort(
      { assignmentUrl: 'http://x', ingestionUrl: 'http://x', apiKey: 'key' },
      fakeTime().deps,
    );
    await expect(keyless.importAssignments([assignment])).rejects.toThrow('needs a key with the scope admin');
  });
});

describe('delivery', () => {
  const config = { batchSize: 10, batchesInFlight: 3 };

  test('sends everything once, in full batches, never more at a time than asked', async () => {
    const sizes: number[] = [];
    const ids: string[] = [];
    let [underWay, most] = [0, 0];
    const send: WorkloadPort['send'] = async (events) => {
      most = Math.max(most, ++underWay);
      sizes.push(events.length);
      ids.push(...events.map((event) => event.event_id));
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      return events.map(({ event_id }) =>
        event_id === '7' ? { event_id, status: 'rejected', code: 'c', message: 'm' } : { event_id, status: 'accepted' },
      );
    };
    const seen: number[] = [];
    const events = Array.from({ length: 64 }, (_, i) => eventOf(String(i)));
    const counts = await deliverEvents({ send }, events, { ...config, onProgress: ({ sent }) => seen.push(sent) });
    expect(counts).toEqual({
      sent: 64,
      accepted: 63,
      rejected: 1,
      rejections: [{ event_id: '7', status: 'rejected', code: 'c', message: 'm' }],
    });
    expect(sizes).toEqual([10, 10, 10, 10, 10, 10, 4]);
    expect(ids).toEqual(events.map((event) => event.event_id));
    expect(most).toBe(3);
    expect(seen.at(-1)).toBe(64);
  });

  test('stops at the first failure and reports it', async () => {
    let calls = 0;
    const send: WorkloadPort['send'] = async () => {
      calls += 1;
      throw new Error('away');
    };
    const endless = (function* () {
      for (let i = 0; ; i++) yield eventOf(String(i));
    })();
    await expect(deliverEvents({ send }, endless, config)).rejects.toThrow('away');
    expect(calls).toBeLessThanOrEqual(3);
  });

  test('adds up imports', async () => {
    const importAssignments: WorkloadPort['importAssignments'] = async (batch) => ({
      imported: batch.length - 1,
      alreadyThere: 1,
    });
    const assignment = {
      experiment_id: 'e',
      variant_id: 'v',
      unit_type: 't',
      unit_id: 'u',
      assigned_at: '2026-01-05T00:00:00Z',
    };
    const counts = await deliverAssignments(
      { importAssignments },
      Array.from({ length: 15 }, () => assignment),
      config,
    );
    expect(counts).toEqual({ imported: 13, alreadyThere: 2 });
  });
});
