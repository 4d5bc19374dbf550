// The @platformatic/kafka client of one group member: its settings, how it is closed, which of its errors may pass.
import { Consumer, compressionsAlgorithms } from '@platformatic/kafka';
import { describeError } from '#platform/errors.ts';
import type { ConsumerMemberOptions } from '#platform/kafka/consumer-port.ts';
import type { KafkaConfig } from '#platform/kafka/kafka-client.ts';
import { decompressSnappy } from '#platform/kafka/snappy.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export type GroupClientOptions = ConsumerMemberOptions & {
  kafka: KafkaConfig;
  clientId: string;
  log: Logger;
};

const rebalanceTimeoutMs = 20_000;

/** The client knows raw snappy blocks only: one batch of a Java producer would stop the member for good. */
function readJavaSnappy(): void {
  const snappy: {
    decompressSync: (data: Parameters<typeof compressionsAlgorithms.snappy.decompressSync>[0]) => Buffer;
  } = compressionsAlgorithms.snappy;
  snappy.decompressSync = (data) => decompressSnappy(Buffer.isBuffer(data) ? data : data.buffer);
}

/** Connects nowhere by itself. */
export function createGroupClient(options: GroupClientOptions): Consumer {
  const { kafka, sessionTimeoutMs } = options;
  readJavaSnappy();
  const client = new Consumer({
    clientId: options.clientId,
    bootstrapBrokers: [...kafka.brokers],
    ...(kafka.ssl ? { tls: {} } : {}),
    ...(kafka.username === undefined
      ? {}
      : { sasl: { mechanism: 'SCRAM-SHA-512' as const, username: kafka.username, password: kafka.password ?? '' } }),
    groupId: options.groupId,
    ...(options.instanceId === undefined ? {} : { groupInstanceId: options.instanceId }),
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: Math.max(rebalanceTimeoutMs, sessionTimeoutMs),
    heartbeatInterval: Math.floor(sessionTimeoutMs / 5),
    // The name and the layout that kafkajs uses, so that a group can change its client member by member.
    protocols: [{ name: 'RoundRobinAssigner', version: 1 }],
    autocommit: false,
    connectTimeout: 3_000,
    // Joining waits for all members of the group.
    requestTimeout: rebalanceTimeoutMs + 5_000,
    retries: 2,
    retryDelay: 250,
  });
  client.topics.track(options.topic);
  return client;
}

/** Without `leave` the group keeps the member until it was not heard of for the session timeout. */
export async function closeGroupClient(client: Consumer, options: { leave: boolean; log: Logger }): Promise<void> {
  // The client leaves whenever it closes, unless it does not know who it is.
  if (!options.leave) client.memberId = null;
  try {
    await client.leaveGroup(true);
    await client.close();
  } catch (error) {
    options.log.debug({ cause: describeError(error) }, 'the group could not be left in order');
    client.memberId = null;
    await client.close().catch(() => undefined);
  }
}

/** Whether another try may succeed: the network, an election, a rebalance. A refusal by the broker stays one. */
export function isTransientClientError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { findBy } = error as { findBy?: (property: string, value: unknown) => object | null };
  if (findBy === undefined) return (error as { code?: unknown }).code !== undefined;
  // A time-out says of itself that it cannot be tried again; and a broker that has just started may not know its topics yet.
  if (/timed out|Unknown topic/.test(describeError(error))) return true;
  return findBy.call(error, 'canRetry', false) === null || findBy.call(error, 'needsRejoin', true) !== null;
}
