// Tests of the hooks that refuse early: how often, how deep.
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { type ApiKey, requireScope } from '#api/authentication.ts';
import { createInProcessRateLimiter, type RateLimiter } from './rate-limit.ts';
import { isDeeperThan, limitDepth, limitRate, maxBodyDepth } from './request-limits.ts';

const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

test.each([
  [nested(3), 3, false],
  [nested(4), 3, true],
  [{ a: { b: [1] } }, 3, false],
  [{ a: { b: [{}] } }, 3, true],
  ['text', 0, false],
  [nested(100_000), 32, true],
])('depth of case %#', (value, limit, expected) => {
  expect(isDeeperThan(value, limit)).toBe(expected);
});

function buildTestApp(rateLimiter: RateLimiter) {
  const keys = new Map<string, ApiKey>([['good', { name: 'good', scopes: new Set(['assign']) }]]);
  const app = Fastify();
  let handled = 0;
  let refused = 0;
  limitDepth(app);
  limitRate(app, {
    rateLimiter,
    onRefused: () => {
      refused += 1;
    },
  });
  app.post('/x', { onRequest: requireScope({ find: (secret) => keys.get(secret) ?? null }, 'assign') }, async () => {
    handled += 1;
    return {};
  });
  const post = (payload: unknown, key = 'good') =>
    app.inject({ method: 'POST', url: '/x', headers: { authorization: `Bearer ${key}` }, payload: payload as object });
  return { post, counts: () => ({ handled, refused }) };
}

test('a key over its limit gets 429 with Retry-After before its body is read', async () => {
  const { post, counts } = buildTestApp(createInProcessRateLimiter({ requestsPerSecond: 1, burst: 2 }, () => 0));
  expect((await post({})).statusCode).toBe(200);
  expect((await post({})).statusCode).toBe(200);
  const refused = await post({});
  expect(refused.statusCode).toBe(429);
  expect(refused.headers['retry-after']).toBe('1');
  expect(refused.json()).toMatchObject({ code: 'rate-limited' });
  expect(counts()).toEqual({ handled: 2, refused: 1 });
});

test('requests without a valid key are refused and not counted', async () => {
  const { post } = buildTestApp(createInProcessRateLimiter({ requestsPerSecond: 1, burst: 1 }, () => 0));
  for (let index = 0; index < 3; index += 1) expect((await post({}, 'unknown')).statusCode).toBe(401);
  expect((await post({})).statusCode).toBe(200);
});

test('a limiter that has to ask elsewhere is waited for', async () => {
  const { post } = buildTestApp({ take: async () => ({ allowed: false, retryAfterSeconds: 7 }) });
  const refused = await post({});
  expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '7']);
});

test('a body that nests too deeply is refused in words', async () => {
  const { post, counts } = buildTestApp({ take: () => ({ allowed: true }) });
  expect((await post(nested(maxBodyDepth))).statusCode).toBe(200);
  const refused = await post(nested(maxBodyDepth + 1));
  expect(refused.statusCode).toBe(400);
  expect(refused.json()).toMatchObject({ code: 'invalid-request' });
  expect(counts().handled).toBe(1);
});
