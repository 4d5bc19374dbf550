// GET /v1/definitions and GET /v1/definitions/stream: what clients need to evaluate for themselves, once or as it changes.
import { PassThrough } from 'node:stream';
import { Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { type ApiKeyStore, requireScope } from '#api/authentication.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { DefinitionFeed } from './definition-feed.ts';
import { RequestError } from './request-error.ts';
import { errorResponses } from './wire-schemas.ts';

export type DefinitionRoutesDeps = {
  keys: Pick<ApiKeyStore, 'find'>;
  feed: DefinitionFeed;
  metrics: Metrics;
  heartbeatMs?: number;
};

const maxStreams = 5_000;
/** A reader that is this far behind is cut off; it comes back and gets the present state instead. */
const maxUnreadBytes = 4 * 1024 * 1024;

const definitionSchema = Type.Object(
  {
    experiment_id: Type.String(),
    key: Type.String(),
    version: Type.Integer(),
    store_required: Type.Boolean({ description: 'true: only the service assigns, so there are no ranges' }),
    coverage_basis_points: Type.Optional(Type.Integer()),
  },
  { additionalProperties: true },
);
const snapshotSchema = Type.Object({ etag: Type.String(), experiments: Type.Array(definitionSchema) });
const headersSchema = (...names: readonly string[]) =>
  Type.Object(Object.fromEntries(names.map((name) => [name, Type.Optional(Type.String())])));

const toMessage = (event: string, id: string, data: string): string => `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`;

function isSameTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${etag}"`);
}

export async function definitionRoutes(app: FastifyInstance, deps: DefinitionRoutesDeps): Promise<void> {
  const { feed, keys } = deps;
  const onRequest = requireScope(keys, 'assign', 'read');
  const security = [{ apiKey: ['assign'] }, { apiKey: ['read'] }];
  const openStreams = deps.metrics.gauge('definition_streams', 'Clients that follow the definitions');
  const streams = new Set<PassThrough>();
  const onOpenStreamsChange = (): void => openStreams.set(streams.size);
  const isStillAllowed = (authorization: string | undefined): boolean => {
    const key = keys.find(authorization?.replace(/^Bearer +/i, '').trim() ?? '');
    return key !== null && (key.scopes.has('assign') || key.scopes.has('read'));
  };

  app.get<{ Headers: { 'if-none-match'?: string } }>(
    '/v1/definitions',
    {
      onRequest,
      schema: {
        summary: 'Definitions for evaluation in a client',
        description: 'The present state with an ETag; 304 when If-None-Match names it.',
        tags: ['definitions'],
        security,
        headers: headersSchema('if-none-match'),
        response: { 200: snapshotSchema, 304: Type.Null({ description: 'Unchanged' }), ...errorResponses() },
      },
    },
    async (request, reply) => {
      const { etag, text } = feed.current();
      reply.header('etag', `"${etag}"`).header('cache-control', 'no-cache').header('vary', 'authorization');
      if (isSameTag(request.headers['if-none-match'], etag)) return reply.code(304).send();
      return reply.type('application/json; charset=utf-8').send(text);
    },
  );

  app.get<{ Headers: { 'last-event-id'?: string; 'if-none-match'?: string } }>(
    '/v1/definitions/stream',
    {
      onRequest,
      schema: {
        summary: 'Definitions and every change of them, as server-sent events',
        description:
          'First `definitions` with the present state (left out when Last-Event-ID or If-None-Match names it), then `change` with ' +
          '{from, etag, experiments, removed}. A comment every few seconds shows that the connection lives.',
        tags: ['definitions'],
        security,
        headers: headersSchema('last-event-id', 'if-none-match'),
        response: {
          200: { description: 'Events', content: { 'text/event-stream': { schema: Type.String() } } },
          ...errorResponses(),
        },
      },
    },
    (request, reply) => {
      if (streams.size >= maxStreams) {
        throw new RequestError(503, {
          code: 'too-many-streams',
          message: 'this instance has no room for another stream',
        });
      }
      const stream = new PassThrough();
      const write = (text: string): void => {
        if (stream.writableLength + stream.readableLength > maxUnreadBytes) stream.destroy();
        else stream.write(text);
      };
      const unsubscribe = feed.subscribe((change, etag) => write(toMessage('change', etag, change)));
      const heartbeat = setInterval(() => {
        // A key that was revoked meanwhile would be refused now.
        if (isStillAllowed(request.headers.authorization)) write(': alive\n\n');
        else stream.end();
      }, deps.heartbeatMs ?? 15_000).unref();
      streams.add(stream);
      onOpenStreamsChange();
      stream.on('close', () => {
        clearInterval(heartbeat);
        unsubscribe();
        streams.delete(stream);
        onOpenStreamsChange();
      });
      // In the same tick as the subscription: nothing can happen in between.
      const { etag, text } = feed.current();
      const isKnown = request.headers['last-event-id'] === etag || isSameTag(request.headers['if-none-match'], etag);
      write(isKnown ? ': unchanged\n\n' : toMessage('definitions', etag, text));
      return reply
        .type('text/event-stream')
        .header('cache-control', 'no-cache, no-transform')
        .header('x-accel-buffering', 'no')
        .send(stream);
    },
  );

  // Otherwise closing would wait for connections that never end by themselves.
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.end();
  });
}
