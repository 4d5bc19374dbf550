// Tests that a key made by the command is what the services accept, is stored as a digest only, and is refused once revoked.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiKeyStore } from '#api/authentication.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createApiKey, listApiKeys, revokeApiKey } from './api-keys.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

test('a created key is accepted with its scopes until it is revoked', async () => {
  const pool = database.poolAs('operator');
  const secret = await createApiKey(pool, { name: 'checkout', scopes: ['assign', 'read', 'read'], actor: 'ann' });
  await using store = createApiKeyStore({ pool: database.poolAs('assignment_service'), log: createSilentLogger() });
  await store.start();
  expect(store.find(secret)).toEqual({ name: 'checkout', scopes: new Set(['assign', 'read']) });

  expect(await revokeApiKey(pool, { name: 'checkout', actor: 'bob' })).toBe(true);
  await store.refresh();
  expect(store.find(secret)).toBeNull();
  expect(await revokeApiKey(pool, { name: 'checkout', actor: 'bob' })).toBe(false);
});

test('the secret is nowhere: not in the keys, not in the audit log, not in the list', async () => {
  const pool = database.poolAs('operator');
  const secret = await createApiKey(pool, { name: 'producer', scopes: ['ingest'], actor: 'ann' });
  const { rows } = await database.pool.query(
    "SELECT (SELECT string_agg(k::text, ' ') FROM exp.api_keys k) || (SELECT string_agg(l::text, ' ') FROM exp.audit_log l) AS text",
  );
  expect(rows[0].text).toContain('api-key/producer');
  expect(rows[0].text).not.toContain(secret);
  expect(rows[0].text).not.toContain(Buffer.from(secret).toString('hex'));
  const listed = await listApiKeys(pool);
  expect(listed.find(({ name }) => name === 'producer')).toEqual({
    name: 'producer',
    scopes: ['ingest'],
    createdAt: expect.any(Date),
    revokedAt: null,
  });
  expect(JSON.stringify(listed)).not.toContain(secret);
});

test('a name is used once, and unknown names are refused', async () => {
  const pool = database.poolAs('operator');
  const create = () => createApiKey(pool, { name: 'twice', scopes: ['read'], actor: 'ann' });
  const first = await create();
  await expect(create()).rejects.toThrow('a key named twice exists already');
  await revokeApiKey(pool, { name: 'twice', actor: 'ann' });
  await expect(create()).rejects.toThrow('a key named twice exists already');
  expect(first).toMatch(/^ts_[\w-]{43}$/);
  await expect(revokeApiKey(pool, { name: 'nobody', actor: 'ann' })).rejects.toThrow('there is no key named nobody');
});
