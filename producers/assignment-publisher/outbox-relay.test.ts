// Order of effects of the relay: acks before marks, the same rows again after a failure, one relay at a time.
import { describe, expect, test } from 'vitest';
import { RetryableError } from '#platform/errors.ts';
import type { OutgoingRecord } from '#platform/kafka/record-producer.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { until } from '#tests/support/poll.ts';
import { createFakeOutboxServer } from './fake-outbox.ts';
import { type OutboxRelayConfig, startOutboxRelay } from './outbox-relay.ts';
import { createRelayMetrics } from './relay-metrics.ts';

type Server = ReturnType<typeof createFakeOutboxServer>;

const quick: Partial<OutboxRelayConfig> = { idleMs: 1, takeOverMs: 1, maxBackoffMs: 10 };

function startRelay(
  server: Server,
  send: (records: readonly OutgoingRecord[]) => Promise<void> = async () => undefined,
  config: Partial<OutboxRelayConfig> = {},
) {
  const metrics = createMetrics({ service: 'test' });
  const relay = startOutboxRelay({
    outbox: server.createOutbox(),
    pool: server.createPool(),
    producer: {
      send: async (_topic, records) => {
        await send(records);
        server.log.push(`acknowledged ${records.map(({ value }) => value?.toString()).join()}`);
      },
    },
    log: createSilentLogger(),
    metrics: createRelayMetrics(metrics),
    owner: 'test',
    config: { ...quick, ...config },
  });
  return { relay, metrics };
}

const allPublished = (server: Server) => () => server.rows.every(({ published }) => published);

describe('startOutboxRelay', () => {
  test('marks rows only after Kafka has acknowledged them, batch by batch in id order', async () => {
    const server = createFakeOutboxServer();
    for (const key of ['a', 'b', 'a']) server.add(key);
    const { relay } = startRelay(server, undefined, { batchRecords: 2 });
    await until('everything is published', allPublished(server));
    await relay[Symbol.asyncDispose]();
    expect(server.log).toEqual(['read 1,2', 'acknowledged 1,2', 'marked 1,2', 'read 3', 'acknowledged 3', 'marked 3']);
  });

  test('sends the same rows again, in the same order, when Kafka did not acknowledge', async () => {
    const server = createFakeOutboxServer();
    server.add('a');
    server.add('b');
    let failures = 2;
    const { relay, metrics } = startRelay(server, async () => {
      if (failures === 0) return;
      failures -= 1;
      throw new RetryableError('Kafka did not acknowledge', { code: 'dependency-unavailable' });
    });
    await until('everything is published', allPublished(server));
    const { text } = await metrics.expose();
    await relay[Symbol.asyncDispose]();
    expect(server.log).toEqual(['read 1,2', 'read 1,2', 'read 1,2', 'acknowledged 1,2', 'marked 1,2']);
    expect(server.state.epoch).toBe(1n);
    expect(text).toMatch(/outbox_failures_total\{.*relay="assignments".*\} 2/);
  });

  test('a row that appears below the highest published id is published', async () => {
    const server = createFakeOutboxServer();
    server.add('late');
    server.add('early');
    const late = server.rows.shift()!;
    const { relay } = startRelay(server);
    await until('the visible row is published', allPublished(server));
    server.rows.unshift(late);
    relay.wake();
    await until('the late row is published', allPublished(server));
    await relay[Symbol.asyncDispose]();
    expect(server.log).toEqual(['read 2', 'acknowledged 2', 'marked 2', 'read 1', 'acknowledged 1', 'marked 1']);
  });

  test('a relay that was taken over marks nothing and puts its keys into the outbox again', async () => {
    const server = createFakeOutboxServer();
    server.add('a');
    let taken = false;
    const { relay } = startRelay(server, async () => {
      if (taken) return;
      taken = true;
      server.state.epoch += 1n;
    });
    await until('everything is published', allPublished(server));
    await relay[Symbol.asyncDispose]();
    expect(server.log.slice(0, 4)).toEqual(['read 1', 'acknowledged 1', 'fenced', 'repeated 1']);
    expect(server.rows).toEqual([
      { id: 1n, key: 'a', published: true },
      { id: 2n, key: 'a', published: true },
    ]);
  });

  test('starts over when Postgres goes away between the acks and the mark', async () => {
    const server = createFakeOutboxServer();
    server.add('a');
    let sent = 0;
    const { relay } = startRelay(server, async () => {
      sent += 1;
      if (sent === 1) server.state.away = true;
    });
    await until('the first send', () => server.state.away);
    server.state.away = false;
    await until('everything is published', allPublished(server));
    await relay[Symbol.asyncDispose]();
    expect(server.log.slice(0, 3)).toEqual(['read 1', 'acknowledged 1', 'repeated 1']);
    expect(server.state.epoch).toBe(2n);
  });

  test('of two relays only one publishes, and the other goes on when it stops', async () => {
    const server = createFakeOutboxServer();
    const publishers: string[] = [];
    const first = startRelay(server, async () => void publishers.push('first'));
    await until('the first relay leads', () => server.state.epoch === 1n);
    const second = startRelay(server, async () => void publishers.push('second'));
    server.add('a');
    await until('the row is published', allPublished(server));
    await first.relay[Symbol.asyncDispose]();
    server.add('b');
    await until('the next row is published', allPublished(server));
    await second.relay[Symbol.asyncDispose]();
    expect(publishers).toEqual(['first', 'second']);
    expect(server.state.epoch).toBe(2n);
  });
});
