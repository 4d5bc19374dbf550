// OFREP on real Postgres: every answer is valid against the published protocol, and the official OpenFeature clients work with it.
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature as ServerOpenFeature } from '@openfeature/server-sdk';
import { OpenFeature as WebOpenFeature, type Provider as WebProvider } from '@openfeature/web-sdk';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

type Flag = { key: string; reason: string; variant?: string; value?: Record<string, unknown>; metadata: object };
type Schemas = Record<string, object>;

const protocol = JSON.parse(
  readFileSync(new URL('../../../shared/vectors/ofrep/openapi.json', import.meta.url), 'utf8'),
) as { components: { schemas: Schemas } };
// As published, `oneOf` can never hold for a flag with a value, because the schema of a flag without one accepts it too. Its
// description says "this schema has no `value` property", so the test says that in the schema.
protocol.components.schemas.codeDefaultFlag = {
  ...protocol.components.schemas.codeDefaultFlag,
  not: { required: ['value'] },
};
const ajv = new Ajv2020({ strict: false, formats: { float: true, uri: true, 'date-time': true } });
ajv.addSchema(protocol, 'ofrep');
function expectValid(schemaName: string, body: unknown): void {
  const validate = ajv.getSchema(`ofrep#/components/schemas/${schemaName}`)!;
  expect(validate(body), `${JSON.stringify(body)}: ${ajv.errorsText(validate.errors)}`).toBe(true);
}

const onlyTreatment: DefinitionBody['variants'] = [
  { name: 'control', allocation: 0, is_control: true, config: { params: { color: 'blue' } } },
  { name: 'treatment', allocation: 1, config: { params: { color: 'green' } } },
];

let database: TestDatabase;
let topics: TestTopics;
let service: ServiceInstance;
let baseUrl: string;

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
  await addApiKey(database, 'only-reads', ['read']);
  service = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
    settings: { cors: { origins: ['https://shop.example'] } },
  });
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  baseUrl = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`;
  const definitions: Partial<DefinitionBody>[] = [
    { key: 'button', variants: onlyTreatment },
    { key: 'for-germans', variants: onlyTreatment, targeting: { country: 'DE' } },
    { key: 'halved', variants: onlyTreatment, coverage: 0 },
    { key: 'not-yet', status: 'draft', variants: onlyTreatment },
    { key: 'stopped', variants: onlyTreatment },
    { key: 'household-menu', unit_type: 'household', variants: onlyTreatment },
  ];
  for (const definition of definitions) {
    const answer = await service.call('POST', '/v1/experiments', definitionOf(definition));
    expect([200, 201], JSON.stringify(answer.body)).toContain(answer.status);
  }
  const off = await service.call('POST', '/v1/experiments/stopped/serving', {
    mode: 'off',
    expected_version: 1,
    reason: 'test',
  });
  expect(off.status, JSON.stringify(off.body)).toBe(200);
});
afterAll(async () => {
  await ServerOpenFeature.clearProviders();
  await WebOpenFeature.clearProviders();
  await service?.stop();
  await topics?.drop();
  await database?.drop();
});

const evaluate = (key: string, context: unknown, options?: { key: string | null }) =>
  service.call('POST', `/ofrep/v1/evaluate/flags/${key}`, { context }, options);
const storedUnits = async (unitId: string): Promise<number> =>
  (await database.pool.query('SELECT 1 FROM exp.assignments WHERE unit_id = $1', [unitId])).rowCount ?? 0;

describe('one flag', () => {
  test('is the variant with its whole config, and enrolls the unit', async () => {
    const { status, body } = await evaluate('button', { targetingKey: 'single-1' });
    expect(status).toBe(200);
    expectValid('serverEvaluationSuccess', body);
    expect(body).toMatchObject({
      key: 'button',
      reason: 'SPLIT',
      variant: 'treatment',
      value: { params: { color: 'green' } },
      metadata: { stored: true },
    });
    const rows = await database.pool.query<{ variant_id: string }>(
      `SELECT variant_id FROM exp.assignments WHERE unit_id = 'single-1'`,
    );
    expect(rows.rows).toEqual([{ variant_id: ((body as Flag).metadata as { variant_id: string }).variant_id }]);
  });

  test.each([
    ['for-germans', { country: 'FR' }, 'UNKNOWN', 'not-targeted'],
    ['halved', {}, 'SPLIT', 'outside-coverage'],
    ['not-yet', {}, 'DISABLED', 'draft'],
    ['stopped', {}, 'DISABLED', 'off'],
    ['button', { unit_type: 'household' }, 'UNKNOWN', 'unit-type-mismatch'],
  ])('%s with %j leaves the default to the code', async (key, attributes, reason, ours) => {
    const { status, body } = await evaluate(key, { targetingKey: 'default-1', ...attributes });
    expect(status).toBe(200);
    expectValid('serverEvaluationSuccess', body);
    expect(body).toMatchObject({ key, reason, metadata: { reason: ours } });
    expect(body).not.toHaveProperty('value');
  });

  test('targeting reads the context', async () => {
    expect((await evaluate('for-germans', { targetingKey: 'de-1', country: 'DE' })).body).toMatchObject({
      variant: 'treatment',
    });
  });

  test.each([
    ['a missing targeting key', 'button', { context: {} }, 400, 'TARGETING_KEY_MISSING'],
    ['an empty targeting key', 'button', { context: { targetingKey: '' } }, 400, 'TARGETING_KEY_MISSING'],
    ['a targeting key that is no text', 'button', { context: { targetingKey: 7 } }, 400, 'INVALID_CONTEXT'],
    ['a targeting key with NUL', 'button', { context: { targetingKey: 'a\u0000' } }, 400, 'INVALID_CONTEXT'],
    ['no context', 'button', {}, 400, 'INVALID_CONTEXT'],
    ['a context that is no object', 'button', { context: [] }, 400, 'INVALID_CONTEXT'],
    ['broken JSON', 'button', '{"context":', 400, 'PARSE_ERROR'],
    ['no body', 'button', '', 400, 'PARSE_ERROR'],
  ])('%s', async (_name, key, body, status, errorCode) => {
    const answer = await service.call('POST', `/ofrep/v1/evaluate/flags/${key}`, body);
    expect([answer.status, answer.body]).toMatchObject([status, { key, errorCode }]);
    expectValid('evaluationFailure', answer.body);
  });

  test('a flag that does not exist is 404', async () => {
    const answer = await evaluate('nothing', { targetingKey: 'u' });
    expect(answer.status).toBe(404);
    expectValid('flagNotFound', answer.body);
  });

  test('a key in a header of its own is accepted; without one or without the scope the answer is 401 or 403', async () => {
    const answer = await service.app.inject({
      method: 'POST',
      url: '/ofrep/v1/evaluate/flags/button',
      headers: { 'x-api-key': testKey },
      payload: { context: { targetingKey: 'header-1' } },
    });
    expect(answer.statusCode).toBe(200);
    expect((await evaluate('button', { targetingKey: 'u' }, { key: null })).status).toBe(401);
    expect((await evaluate('button', { targetingKey: 'u' }, { key: 'only-reads' })).status).toBe(403);
  });
});

describe('all flags', () => {
  const bulk = (context: object, headers: Record<string, string> = {}) =>
    service.app.inject({
      method: 'POST',
      url: '/ofrep/v1/evaluate/flags',
      headers: { authorization: `Bearer ${testKey}`, ...headers },
      payload: { context },
    });

  test('are computed without storing, in order of their keys, without drafts', async () => {
    const answer = await bulk({ targetingKey: 'bulk-1' });
    expect(answer.statusCode).toBe(200);
    expectValid('bulkEvaluationSuccess', answer.json());
    const { flags } = answer.json<{ flags: Flag[] }>();
    expect(flags.map(({ key, variant }) => [key, variant])).toEqual([
      ['button', 'treatment'],
      ['for-germans', undefined],
      ['halved', undefined],
      ['household-menu', 'treatment'],
      ['stopped', undefined],
    ]);
    expect(flags[0]).toMatchObject({ metadata: { stored: false } });
    expect(await storedUnits('bulk-1')).toBe(0);
  });

  test('a unit type in the context leaves the flags of other types out', async () => {
    const { flags } = (await bulk({ targetingKey: 'h-1', unit_type: 'household' })).json<{ flags: Flag[] }>();
    expect(flags.map(({ key }) => key)).toEqual(['household-menu']);
  });

  test('answer 304 until something changes, and the stored row is what is read', async () => {
    const first = await bulk({ targetingKey: 'bulk-2' });
    const tag = String(first.headers.etag);
    expect(tag).toMatch(/^"[\w-]{43}"$/);
    for (const header of [tag, `W/${tag}`, tag.slice(1, -1), `"other", ${tag}`]) {
      const repeated = await bulk({ targetingKey: 'bulk-2' }, { 'if-none-match': header });
      expect([repeated.statusCode, repeated.body, repeated.headers.etag]).toEqual([304, '', tag]);
    }
    await evaluate('button', { targetingKey: 'bulk-2' });
    const after = await bulk({ targetingKey: 'bulk-2' }, { 'if-none-match': tag });
    expect(after.statusCode).toBe(200);
    expect(after.headers.etag).not.toBe(tag);
    expect(after.json<{ flags: Flag[] }>().flags[0]).toMatchObject({ key: 'button', metadata: { stored: true } });
  });

  test('a request without a targeting key is refused as a whole', async () => {
    const answer = await bulk({ country: 'DE' });
    expect(answer.statusCode).toBe(400);
    expectValid('bulkEvaluationFailure', answer.json());
    expect(answer.json()).toMatchObject({ errorCode: 'TARGETING_KEY_MISSING' });
  });
});

test('only pages of a configured origin may call', async () => {
  const preflight = (origin: string) =>
    service.app.inject({
      method: 'OPTIONS',
      url: '/ofrep/v1/evaluate/flags',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
  const good = await preflight('https://shop.example');
  expect(good.statusCode).toBe(204);
  expect(good.headers['access-control-allow-origin']).toBe('https://shop.example');
  expect(good.headers['access-control-allow-headers']).toContain('if-none-match');
  expect((await preflight('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
});

describe('official clients', () => {
  test('the server SDK gets variant, value, reason and metadata, and errors as the protocol has them', async () => {
    await ServerOpenFeature.setProviderAndWait(
      new OFREPProvider({ baseUrl, headers: [['Authorization', `Bearer ${testKey}`]] }),
    );
    const client = ServerOpenFeature.getClient();
    const details = await client.getObjectDetails('button', { params: { color: 'red' } }, { targetingKey: 'sdk-1' });
    expect(details).toMatchObject({
      value: { params: { color: 'green' } },
      variant: 'treatment',
      reason: 'SPLIT',
      flagMetadata: { reason: 'assigned', stored: true },
    });
    expect(details.errorCode).toBeUndefined();
    expect(await storedUnits('sdk-1')).toBe(1);
    const fallback = { params: { color: 'red' } };
    expect(await client.getObjectDetails('nothing', fallback, { targetingKey: 'sdk-1' })).toMatchObject({
      value: fallback,
      errorCode: 'FLAG_NOT_FOUND',
    });
    expect(await client.getObjectDetails('button', fallback, {})).toMatchObject({
      value: fallback,
      errorCode: 'TARGETING_KEY_MISSING',
    });
    // This provider's release is older than flags without a value: it reports an error beside the right value.
    expect((await client.getObjectDetails('halved', fallback, { targetingKey: 'sdk-1' })).value).toEqual(fallback);
  });

  test('the web SDK reads all flags at once and asks again with the entity tag', async () => {
    const seen: number[] = [];
    await WebOpenFeature.setContext({ targetingKey: 'web-1', country: 'DE' });
    await WebOpenFeature.setProviderAndWait(
      new OFREPWebProvider({
        baseUrl,
        headers: [['X-API-Key', testKey]],
        pollInterval: 100,
        cacheMode: 'disabled',
        fetchImplementation: async (input: string | URL | Request, init?: RequestInit) => {
          const response = await fetch(input, init);
          seen.push(response.status);
          return response;
        },
      }) as WebProvider,
    );
    const client = WebOpenFeature.getClient();
    expect(client.getObjectDetails('for-germans', {})).toMatchObject({
      value: { params: { color: 'green' } },
      variant: 'treatment',
      reason: 'SPLIT',
    });
    const fallback = { params: { color: 'red' } };
    expect(client.getObjectDetails('halved', fallback)).toMatchObject({ value: fallback });
    expect(client.getObjectDetails('halved', fallback).errorCode).toBeUndefined();
    expect(client.getObjectDetails('nothing', fallback)).toMatchObject({ errorCode: 'FLAG_NOT_FOUND' });
    await expect.poll(() => seen.includes(304), { timeout: 10_000 }).toBe(true);
    expect(await storedUnits('web-1')).toBe(0);
    await WebOpenFeature.setContext({ targetingKey: 'web-1', country: 'FR' });
    expect(client.getObjectDetails('for-germans', fallback).value).toEqual(fallback);
  });
});
