// Tests of the rate limit: bursts, steady rates, and callers that do not share.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createInProcessRateLimiter, type RateLimitDecision } from './rate-limit.ts';

function createClockedLimiter(requestsPerSecond: number, burst: number) {
  let nowMs = 0;
  const limiter = createInProcessRateLimiter({ requestsPerSecond, burst }, () => nowMs);
  return {
    advance: (ms: number) => {
      nowMs += ms;
    },
    take: (caller = 'a') => limiter.take(caller) as RateLimitDecision,
  };
}

test('a burst passes, the next request is told when to come back, and then it passes', () => {
  const { take, advance } = createClockedLimiter(2, 5);
  for (let index = 0; index < 5; index += 1) expect(take()).toEqual({ allowed: true });
  expect(take()).toEqual({ allowed: false, retryAfterSeconds: 1 });
  advance(499);
  expect(take().allowed).toBe(false);
  advance(1);
  expect(take().allowed).toBe(true);
  expect(take().allowed).toBe(false);
});

test('what a slow rate asks for is whole seconds', () => {
  const { take } = createClockedLimiter(1, 1);
  take();
  expect(take()).toEqual({ allowed: false, retryAfterSeconds: 1 });
});

test('one caller at its limit does not hold up another', () => {
  const { take } = createClockedLimiter(1, 1);
  expect([take('a').allowed, take('a').allowed, take('b').allowed]).toEqual([true, false, true]);
});

test('a refused request costs nothing', () => {
  const { take, advance } = createClockedLimiter(1, 1);
  take();
  for (let index = 0; index < 100; index += 1) take();
  advance(1_000);
  expect(take().allowed).toBe(true);
});

test('never more than the burst and the rate allow, however the requests are spread', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 200 }),
      (requestsPerSecond, burst, pauses) => {
        const { take, advance } = createClockedLimiter(requestsPerSecond, burst);
        let elapsedMs = 0;
        let passed = 0;
        for (const pause of pauses) {
          advance(pause);
          elapsedMs += pause;
          if (take().allowed) passed += 1;
        }
        expect(passed).toBeLessThanOrEqual(burst + (elapsedMs / 1_000) * requestsPerSecond + 1e-6);
      },
    ),
    { seed: 20_261_124 },
  );
});
