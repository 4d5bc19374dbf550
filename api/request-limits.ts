// Hooks that refuse before any work is done: a key that asks too often, and a body that nests too deeply.
import type { FastifyInstance } from 'fastify';
import { findCaller } from '#api/authentication.ts';
import type { RateLimitDecision, RateLimiter } from '#api/rate-limit.ts';

/** Deep enough for any definition or context; nothing that reads a body recursively comes near the end of the stack. */
export const maxBodyDepth = 32;

/** Whether objects and arrays nest deeper than `limit`, which bounds the recursion too. */
export function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (limit === 0) return true;
  const inner: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  return inner.some((entry) => isDeeperThan(entry, limit - 1));
}

/** Refuses with 429 after the key was checked and before the body is read. Requests without a valid key are not counted. */
export function limitRate(app: FastifyInstance, deps: { rateLimiter: RateLimiter; onRefused: () => void }): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    const proceed = (decision: RateLimitDecision): void => {
      if (decision.allowed) {
        done(null, payload);
        return;
      }
      deps.onRefused();
      reply.code(429).header('retry-after', decision.retryAfterSeconds).send({
        code: 'rate-limited',
        message: 'this API key asks too often; come back after the seconds in Retry-After',
      });
    };
    const caller = findCaller(request);
    if (caller === null) {
      done(null, payload);
      return;
    }
    const taken = deps.rateLimiter.take(caller.name);
    // A limit in memory answers at once, and most requests must not pay for the one that does not.
    if (taken instanceof Promise) taken.then(proceed, done);
    else proceed(taken);
  });
}

/** Refuses bodies that nest deeper than `maxBodyDepth`. */
export function limitDepth(app: FastifyInstance): void {
  app.addHook('preValidation', (request, reply, done) => {
    if (!isDeeperThan(request.body, maxBodyDepth)) {
      done();
      return;
    }
    reply.code(400).send({
      code: 'invalid-request',
      message: `the body must not nest deeper than ${maxBodyDepth} levels`,
    });
  });
}
