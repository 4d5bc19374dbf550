// Tests the local stack as its users meet it: every component works, data is kept, and nothing outlives its supervising process.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { StackEndpoints } from './components.ts';
import { kafkaToolCommand } from './java-artifacts.ts';
import { isAlive, type ProcessIdentity } from './process-lock.mjs';
import { startLocalStack } from './stack.ts';
import { findStack, findStackFile, readStack, type StackFile } from './stack-file.ts';
import type { ComponentStatus } from './status-report.ts';

const run = promisify(execFile);
const here = dirname(fileURLToPath(import.meta.url));
const topic = 'local-stack-test';

// 0700: as root, Postgres's own user cannot reach this folder, which is the harder case.
let localDir: string;
beforeAll(async () => {
  localDir = await mkdtemp(join(tmpdir(), 'trialstream-stack-'));
  await chmod(localDir, 0o700);
});
// A failed test must not hand its stack to the next.
afterEach(async () => {
  await command('down');
});
afterAll(async () => {
  await command('down', '--wipe');
  await rm(localDir, { recursive: true, force: true });
});

async function command(name: 'up' | 'down' | 'status', ...args: string[]): Promise<{ code: number; output: string }> {
  const entry = name === 'status' ? join(here, '..', 'system', 'status.ts') : join(here, `${name}.ts`);
  const script = [join(here, 'bootstrap.mjs'), entry, ...args];
  const env = { ...process.env, TRIALSTREAM_LOCAL_DIR: localDir };
  return run(process.execPath, script, { env }).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      output: error.stdout + error.stderr,
    }),
  );
}

function createKafka({ kafka }: StackEndpoints) {
  return new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING });
}

function createS3({ objectStore }: StackEndpoints): S3Client {
  return new S3Client({
    endpoint: objectStore.endpoint,
    region: objectStore.region,
    credentials: { accessKeyId: objectStore.accessKeyId, secretAccessKey: objectStore.secretAccessKey },
    forcePathStyle: true,
  });
}

async function queryPostgres(endpoints: StackEndpoints, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: endpoints.postgres.superuserUrl });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function writeToEach(endpoints: StackEndpoints): Promise<{ schemaId: number }> {
  const kafka = createKafka(endpoints);
  const admin = kafka.admin();
  const producer = kafka.producer();
  await Promise.all([admin.connect(), producer.connect()]);
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 1 }] });
  await producer.send({ topic, acks: -1, messages: [{ key: 'k', value: 'kept', timestamp: '1000' }] });
  await Promise.all([admin.disconnect(), producer.disconnect()]);

  const s3 = createS3(endpoints);
  const Bucket = endpoints.objectStore.objectStoreBucket;
  await s3.send(new PutObjectCommand({ Bucket, Key: 'a/b', Body: 'kept' }));
  s3.destroy();

  await queryPostgres(endpoints, "CREATE TABLE kept AS SELECT 'kept' AS word");

  const response = await fetch(`${endpoints.schemaRegistry.url}/subjects/kept-value/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema: '{"type":"record","name":"Kept","fields":[{"name":"word","type":"string"}]}' }),
  });
  const { id } = (await response.json()) as { id: number };
  return { schemaId: id };
}

async function readFromEach(endpoints: StackEndpoints, schemaId: number) {
  const tool = await kafkaToolCommand('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    ...['--bootstrap-server', endpoints.kafka.brokers.join(','), '--topic', topic, '--from-beginning'],
    ...['--max-messages', '1', '--timeout-ms', '20000', '--formatter-property', 'print.timestamp=true'],
  ]);
  const consumed = run(tool.file, [...tool.args]).then(({ stdout }) => stdout.trim());
  const s3 = createS3(endpoints);
  const object = await s3.send(new GetObjectCommand({ Bucket: endpoints.objectStore.objectStoreBucket, Key: 'a/b' }));
  const objectText = await object.Body?.transformToString();
  s3.destroy();
  const rows = await queryPostgres(endpoints, 'SELECT word FROM kept');
  const schema = await fetch(`${endpoints.schemaRegistry.url}/schemas/ids/${schemaId}`);
  return { record: await consumed, objectText, rows, schema: await schema.text() };
}

const programsOf = (stack: StackFile): ProcessIdentity[] =>
  Object.values(stack.components).flatMap(({ process }) => (process === null ? [] : [process]));

test('npm run up, down and status: starts, survives kill -9 of its supervising process without orphans, keeps data', async () => {
  expect((await command('status')).code).toBe(1);
  const up = await command('up');
  expect(up.code, up.output).toBe(0);
  const first = readStack(localDir);
  const { schemaId } = await writeToEach(first.endpoints);

  const again = await command('up');
  expect(again).toMatchObject({ code: 0, output: expect.stringContaining('Already running') });
  expect(readStack(localDir).supervisor).toEqual(first.supervisor);
  await expect(startLocalStack({ localDir })).rejects.toThrow('already runs');

  const programs = programsOf(first);
  expect(programs).toHaveLength(4);
  process.kill(first.supervisor.pid, 'SIGKILL');
  await vi.waitFor(() => expect(programs.filter(isAlive)).toEqual([]), { timeout: 30_000, interval: 50 });
  expect(findStack(localDir)).toBeNull();
  expect((await command('status')).code).toBe(1);

  const restarted = await command('up');
  expect(restarted.code, restarted.output).toBe(0);
  const second = readStack(localDir);
  const kept = await readFromEach(second.endpoints, schemaId);
  expect(kept).toMatchObject({ objectText: 'kept', rows: [{ word: 'kept' }] });
  // The broker's clock, not the producer's 1000.
  expect(kept.record).toMatch(/^LogAppendTime:\d{13}\tkept$/);
  expect(kept.schema).toContain('Kept');

  process.kill(programsOf(second).at(0)?.pid ?? Number.NaN, 'SIGKILL');
  await vi.waitFor(
    async () => {
      const status = await command('status', '--json');
      const { components } = JSON.parse(status.output) as { components: ComponentStatus[] };
      expect(status.code).toBe(1);
      expect(components.filter(({ state }) => state === 'down').map(({ component }) => component)).toEqual([
        'postgres',
      ]);
    },
    { timeout: 20_000, interval: 100 },
  );

  expect((await command('down')).output).toContain('Stopped');
  expect([...programsOf(second), second.supervisor].filter(isAlive)).toEqual([]);
  expect((await command('down')).output).toContain('Nothing was running');
}, 240_000);

test('refuses topics that nobody created, and stops, kills and restarts one component with its port and data', async () => {
  await using stack = await startLocalStack({ localDir, ports: 'free' });
  const { kafka, postgres } = stack.components;

  const producer = createKafka(stack.endpoints).producer({ retry: { retries: 0 } });
  await producer.connect();
  await expect(producer.send({ topic: 'mistyped', messages: [{ value: 'x' }] })).rejects.toThrow();
  await producer.disconnect();

  const before = kafka.pid;
  await kafka.kill();
  expect(kafka.pid).toBeUndefined();
  await kafka.start();
  expect(kafka.pid).not.toBe(before);
  const admin = createKafka(stack.endpoints).admin();
  await admin.connect();
  expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ partition: 0, high: '1' }]);
  await admin.disconnect();

  // At once after kill -9, when backends may still be on their way out.
  for (let round = 0; round < 3; round += 1) {
    await postgres.kill('SIGKILL');
    await postgres.start();
    expect(await queryPostgres(stack.endpoints, 'SELECT word FROM kept')).toEqual([{ word: 'kept' }]);
  }
  await postgres.restart();
  expect(await queryPostgres(stack.endpoints, 'SELECT word FROM kept')).toEqual([{ word: 'kept' }]);
}, 180_000);

test('says which component did not start and why, and leaves none running', async () => {
  await writeFile(join(localDir, 'kafka', 'data', 'meta.properties'), 'version=1\ncluster.id=another\nnode.id=99\n');
  let seen: ProcessIdentity[] = [];
  const start = startLocalStack({
    localDir,
    ports: 'free',
    onProgress: () => {
      const file = findStackFile(localDir);
      if (file !== null) seen = [...seen, ...programsOf(file)];
    },
  });
  await expect(start).rejects.toThrow(/Kafka ended while starting \(exit code 1\)[\s\S]*kafka\.log[\s\S]*node/i);
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.filter(isAlive)).toEqual([]);
  expect(findStackFile(localDir)).toBeNull();
}, 120_000);

test('refuses a port that was asked for by name and is taken', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(startLocalStack({ localDir, ports: { kafka: port } })).rejects.toThrow(`The port ${port}`);
  server.close();
});
