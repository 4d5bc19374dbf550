// Which callers pass the door, and that keys survive a database that is away.
import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import { type ApiKey, createApiKeyStore, getCaller, hashApiKey, requireScope } from '#api/authentication.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';

function appWith(key: ApiKey) {
  const app = Fastify();
  const keys = { find: (secret: string) => (secret === 'right-key' ? key : null) };
  app.get('/', { onRequest: requireScope(keys, 'assign', 'admin') }, async (request) => getCaller(request).name);
  return app;
}

describe('requireScope', () => {
  test.each([
    ['no header', undefined, 401],
    ['another scheme', 'Basic right-key', 401],
    ['an unknown key', 'Bearer wrong-key', 401],
    ['an empty key', 'Bearer ', 401],
    ['the right key', 'Bearer right-key', 200],
    ['the scheme in lower case', 'bearer right-key', 200],
  ])('%s', async (_name, authorization, status) => {
    const app = appWith({ name: 'shop', scopes: new Set(['assign']) });
    const headers = authorization === undefined ? {} : { authorization };
    const response = await app.inject({ method: 'GET', url: '/', headers });
    expect(response.statusCode).toBe(status);
    if (status === 200) expect(response.body).toBe('shop');
    else expect(response.json()).toEqual({ code: 'unauthenticated', message: expect.stringContaining('API key') });
  });

  test('refuses a key without any of the scopes and names them', async () => {
    const app = appWith({ name: 'reader', scopes: new Set(['read']) });
    const response = await app.inject({ method: 'GET', url: '/', headers: { authorization: 'Bearer right-key' } });
    expect(response.statusCode).toBe(403);
    expect(response.json()).toEqual({ code: 'forbidden', message: 'this key lacks the scope assign or admin' });
  });
});

describe('createApiKeyStore', () => {
  type Row = { name: string; key_hash: Buffer; scopes: string[] };
  const poolOf = (answer: () => Row[]) => ({ query: async () => ({ rows: answer() }) }) as unknown as Pool;

  test('finds keys by secret and forgets revoked ones at the next refresh', async () => {
    let rows: Row[] = [{ name: 'shop', key_hash: hashApiKey('s3cret'), scopes: ['assign'] }];
    await using store = createApiKeyStore({ pool: poolOf(() => rows), log: createSilentLogger() });
    await store.start();
    expect(store.find('s3cret')).toEqual({ name: 'shop', scopes: new Set(['assign']) });
    expect(store.find('other')).toBeNull();
    rows = [];
    await store.refresh();
    expect(store.find('s3cret')).toBeNull();
  });

  test('keeps the last known keys while Postgres is away, and refuses to start without any load', async () => {
    let away = false;
    const pool = poolOf(() => {
      if (away) throw new Error('Connection terminated unexpectedly');
      return [{ name: 'shop', key_hash: hashApiKey('s3cret'), scopes: ['assign'] }];
    });
    await using store = createApiKeyStore({ pool, log: createSilentLogger() });
    await store.start();
    away = true;
    await expect(store.refresh()).rejects.toThrow('terminated');
    expect(store.find('s3cret')?.name).toBe('shop');
    await using unstarted = createApiKeyStore({ pool, log: createSilentLogger() });
    await expect(unstarted.start()).rejects.toThrow('terminated');
  });
});
