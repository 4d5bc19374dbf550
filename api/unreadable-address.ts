// The answer to an address that cannot be read, such as one with a broken percent escape: in the shape of every other refusal.
import type { FastifyReply } from 'fastify';

/** Longer than any address that Node accepts, so that a schema says what is wrong with a part of it. */
export const maxParamLength = 16_384;

/** Fastify asks it before a route is known. */
export function answerUnreadableAddress(_error: unknown, _request: unknown, reply: unknown): void {
  void (reply as FastifyReply)
    .code(400)
    .send({ code: 'invalid-request', message: 'the address is not a readable URL' });
}
