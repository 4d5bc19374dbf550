// Doctor on real Kafka, registry, Postgres and S3: finds what is wrong, says what to do, and is content when it is done.
import { UnrecoverableError, Worker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashUnit } from '#domain/archive/erased-units.ts';
import { erasureKeyFingerprint } from '#domain/erasure/pseudonymize-event.ts';
import { redis } from '#infra/local/components/redis.ts';
import { createJobQueues, queuePrefix } from '#platform/jobs/job-queues.ts';
import { connectRedis } from '#platform/redis/redis-client.ts';
import { archiveSegments } from '#tests/support/archive.ts';
import { createTestCluster } from '#tests/support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { createOwnComponent } from '#tests/support/own-component.ts';
import { until } from '#tests/support/poll.ts';
import { runUpkeep } from '../upkeep/run-upkeep.ts';
import { type DoctorCluster, type Finding, formatFindings, runDoctor } from './doctor.ts';

const erasureKey = 'a-key-of-tests-only-with-32-characters-or-more';
let database: TestDatabase;
let kafka: TestTopics;
let cluster: DoctorCluster;

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics()]);
  cluster = { ...createTestCluster(database, kafka), erasureKey, models: null, mlflow: null, redisUrl: undefined };
});
afterAll(async () => {
  for (const { objectKey } of await cluster.objectStore.list('events/'))
    if (objectKey.includes(`/${cluster.topicName('events')}+`)) await cluster.objectStore.delete(objectKey);
  cluster.objectStore.close();
  await kafka.drop();
  await database.drop();
});

const of = (findings: readonly Finding[], check: string): Finding[] =>
  findings.filter((finding) => finding.check === check);

describe('doctor', () => {
  it('says for each thing that is wrong what to do', async () => {
    const day = Date.UTC(2026, 0, 5, 3);
    await archiveSegments(
      {
        pool: database.poolAs('parquet_archiver'),
        objectStore: cluster.objectStore,
        topic: cluster.topicName('events'),
      },
      [{ partition: 0, firstOffset: 0n, appendTimeMs: day, events: [sampleEvent({ unit_id: 'gone' })] }],
    );
    await database.pool.query('SELECT exp.claim_erasure_key($1)', [erasureKeyFingerprint(`${erasureKey}, another`)]);
    await database.pool.query('SELECT exp.erase_unit($1, $2, $3, $4, $5)', [
      'user',
      'gone',
      hashUnit(erasureKey, 'user', 'gone'),
      'erased-one',
      'tester',
    ]);
    const findings = await runDoctor(cluster);
    expect(of(findings, 'kafka')).toMatchObject([{ state: 'ok' }]);
    expect(of(findings, 'consumer groups').filter(({ state }) => state === 'problem')).toHaveLength(4);
    expect(of(findings, 'event days')).toMatchObject([
      { state: 'warning', advice: expect.stringContaining('ops -- upkeep') },
    ]);
    expect(of(findings, 'archive')).toMatchObject([
      {
        state: 'problem',
        detail: `partition 0: archived, but ${cluster.groupName('parquet-archiver')} has no position there`,
      },
    ]);
    expect(of(findings, 'compaction').map(({ detail }) => detail)).toEqual([
      '1 closed hours lie in 1 small objects',
      '1 objects are older than the latest erasure and may hold erased units',
    ]);
    expect(of(findings, 'erasure key')).toMatchObject([{ state: 'problem' }]);
    expect(of(findings, 'models')).toMatchObject([{ state: 'ok', detail: 'no policy names a model' }]);
    const text = formatFindings(findings);
    expect(text).toContain('what to do');
    expect(text.split('\n').length).toBeGreaterThan(findings.length);
  });

  it('is content with what was put right', async () => {
    await runUpkeep(cluster, { daysAhead: 3, retentionDays: undefined, actor: 'tester', dryRun: false });
    await database.pool.query('UPDATE exp.erasure_key SET fingerprint = $1', [erasureKeyFingerprint(erasureKey)]);
    await database.pool.query('DELETE FROM exp.archive_manifest');
    const findings = await runDoctor(cluster);
    expect(of(findings, 'jobs')).toMatchObject([
      { state: 'ok', detail: expect.stringContaining('REDIS_URL is not set') },
    ]);
    for (const check of ['event days', 'archive', 'compaction', 'erasure key', 'dead letters', 'outbox', 'lineage'])
      expect(of(findings, check), check).toMatchObject([{ state: 'ok' }]);
  });

  it('names jobs that died, and says when Redis is away', async () => {
    const server = await createOwnComponent(redis);
    await server.start();
    const client = await connectRedis({ url: server.endpoint.url, clientName: 'test' });
    const prefix = queuePrefix(cluster.namespace);
    const look = async () => of(await runDoctor({ ...cluster, redisUrl: server.endpoint.url }), 'jobs');
    const queues = createJobQueues({ redis: client, prefix, kinds: ['upkeep'] });
    const work = () => Promise.reject(new UnrecoverableError('no such day'));
    const worker = new Worker('upkeep', work, { connection: { url: server.endpoint.url }, prefix });
    worker.on('error', () => undefined);
    try {
      expect(await look()).toMatchObject([{ state: 'ok' }]);
      await queues.submit('upkeep', { key: 'daily', parameters: {}, given: {}, submittedBy: 'tester', attempts: 1 });
      await until('the job is dead', async () => (await queues.get('upkeep', 'daily')).state === 'dead');
      expect(await look()).toMatchObject([{ state: 'warning', detail: expect.stringContaining('upkeep/daily') }]);
    } finally {
      await worker.close();
      await queues[Symbol.asyncDispose]();
      client.disconnect();
      await server[Symbol.asyncDispose]();
    }
    expect(await look()).toMatchObject([{ state: 'problem', advice: expect.stringContaining('REDIS_URL') }]);
  });
});
