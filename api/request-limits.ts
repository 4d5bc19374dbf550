// Hooks that refuse before any work is done: a key that asks too often, and a body that nests too deeply.
import type { FastifyInstance } from 'fastify';
import { findCaller } from '#api/authentication.ts';
import type { RateLimiter } from '#api/rate-limit.ts';

/** Deep enough for any definition or context; nothing that reads a body recursively comes near the end of the stack. */
export const maxBodyDepth = 32;

/** Whether objects and arrays nest deeper than `limit`. Works level by level, so that depth costs no stack. */
export function isDeeperThan(value: unknown, limit: number): boolean {
  let level: object[] = typeof value === 'object' && value !== null ? [value] : [];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth >= limit) return true;
    const below: object[] = [];
    for (const entry of level) {
      for (const inner of Object.values(entry)) {
        if (typeof inner === 'object' && inner !== null) below.push(inner);
      }
    }
    level = below;
  }
  return false;
}

/** Refuses with 429 after the key was checked and before the body is read. Requests without a valid key are not counted. */
export function limitRate(app: FastifyInstance, deps: { rateLimiter: RateLimiter; onRefused: () => void }): void {
  app.addHook('preParsing', async (request, reply, payload) => {
    const caller = findCaller(request);
    if (caller === null) return payload;
    const taken = deps.rateLimiter.take(caller.name);
    const decision = taken instanceof Promise ? await taken : taken;
    if (decision.allowed) return payload;
    deps.onRefused();
    return reply.code(429).header('retry-after', decision.retryAfterSeconds).send({
      code: 'rate-limited',
      message: 'this API key asks too often; come back after the seconds in Retry-After',
    });
  });
}

/** Refuses bodies that nest deeper than `maxBodyDepth`. */
export function limitDepth(app: FastifyInstance): void {
  app.addHook('preValidation', async (request, reply) => {
    if (!isDeeperThan(request.body, maxBodyDepth)) return;
    return reply.code(400).send({
      code: 'invalid-request',
      message: `the body must not nest deeper than ${maxBodyDepth} levels`,
    });
  });
}
