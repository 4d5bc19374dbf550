// A job and its state, read while a worker moves it.
import { Worker } from 'bullmq';
import { expect, test } from 'vitest';
import { redis } from '#infra/local/components/redis.ts';
import { connectRedis } from '#platform/redis/redis-client.ts';
import { createOwnComponent } from '#tests/support/own-component.ts';
import { createJobQueues, queuePrefix } from './job-queues.ts';
import { type JobView, jobStates } from './job-view.ts';

const kind = 'compaction';
const jobCount = 300;

test('a job that is read while it is done is never shown with the state of one moment and the attempts of another', async () => {
  await using server = await createOwnComponent(redis);
  await server.start();
  const client = await connectRedis({ url: server.endpoint.url, clientName: 'test' });
  const prefix = queuePrefix(undefined);
  await using queues = createJobQueues({ redis: client, prefix, kinds: [kind] });
  const worker = new Worker(kind, async () => 'done', { connection: { url: server.endpoint.url }, prefix });
  const wrong: JobView[] = [];
  const look = (job: JobView): void => {
    const isConsistent =
      job.state === 'completed'
        ? job.failedAttempts === 0 && job.result === 'done' && job.endedAt !== null
        : job.failedAttempts === 0 && job.result === null && job.endedAt === null;
    if (!isConsistent) wrong.push(job);
  };
  const readUntilDone = async (key: string): Promise<void> => {
    for (;;) {
      const job = await queues.get(kind, key);
      look(job);
      if (job.state === 'completed') return;
    }
  };
  try {
    for (let index = 0; index < jobCount; index += 1) {
      const key = `job-${index}`;
      await queues.submit(kind, { key, parameters: {}, given: {}, submittedBy: 'tester', attempts: 3 });
      const [, , listed] = await Promise.all([
        readUntilDone(key),
        readUntilDone(key),
        queues.list({ kinds: [kind], states: jobStates, limit: 3 }),
      ]);
      for (const job of listed) look(job);
      expect(new Set(listed.map((job) => job.key)).size).toBe(listed.length);
    }
    expect(wrong).toEqual([]);
  } finally {
    await worker.close();
    client.disconnect();
  }
}, 120_000);
