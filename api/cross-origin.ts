// Web pages of other origins: refused unless their origin is configured.
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** Lets pages of these origins call; none may when the list is empty, and then there is not even an answer to their question. */
export async function allowOrigins(
  app: FastifyInstance,
  origins: readonly string[],
  allowedHeaders: readonly string[],
): Promise<void> {
  if (origins.length === 0) return;
  await app.register(cors, {
    origin: [...origins],
    methods: ['GET', 'POST'],
    allowedHeaders: ['authorization', 'content-type', ...allowedHeaders],
    exposedHeaders: ['etag', 'retry-after'],
    maxAge: 600,
  });
}
