// A stream ends when the key that opened it is revoked.
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import type { ApiKey } from '#api/authentication.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { createDefinitionFeed } from './definition-feed.ts';
import { definitionRoutes } from './routes-definitions-stream.ts';

test('a stream whose key is revoked ends with the next heartbeat, and is not counted any more', async () => {
  const metrics = createMetrics({ service: 'test' });
  const key: ApiKey = { name: 'web', scopes: new Set(['assign']) };
  let looks = 0;
  const app = Fastify();
  await app.register(definitionRoutes, {
    // Valid when the stream is opened and at its first heartbeat.
    keys: { find: () => (++looks <= 2 ? key : null) },
    feed: createDefinitionFeed(),
    metrics,
    heartbeatMs: 5,
  });
  const response = await app.inject({
    url: '/v1/definitions/stream',
    headers: { authorization: 'Bearer some-key' },
  });
  expect(response.body).toMatch(/^id: \w+\nevent: definitions\ndata: .*\n\n: alive\n\n$/);
  expect((await metrics.expose()).text).toContain('definition_streams{service="test"} 0');
  await app.close();
});
