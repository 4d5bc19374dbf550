// The @platformatic/kafka client of one group member: its settings, how it is closed, which of its errors may pass.
import { type Broker, type Connection, Consumer, compressionsAlgorithms, NetworkError } from '@platformatic/kafka';
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

/**
 * The client remembers which broker coordinates its group. When that one is killed, the cluster no longer lists it, and the client
 * reads the address of nothing: an exception in a callback, which ends the process. As an error it is what it is, a broker away.
 */
function guardUnlistedBroker({ connections }: Consumer): void {
  type Callback = (error: Error | null, connection?: Connection) => void;
  const get = connections.get.bind(connections) as (broker: Broker, callback?: Callback) => Promise<Connection>;
  const guarded = (broker: Broker | undefined, callback?: Callback): Promise<Connection> | undefined => {
    if (broker !== undefined) return get(broker, callback);
    const error = new NetworkError('The cluster does not list the broker that is asked for.');
    if (callback === undefined) return Promise.reject(error);
    callback(error);
    return undefined;
  };
  Object.assign(connections, { get: guarded });
}

/** How this client comes to the brokers that kafkajs comes to. */
export const toConnectionOptions = ({ brokers, ssl, username, password }: KafkaConfig) => ({
  bootstrapBrokers: [...brokers],
  ...(ssl ? { tls: {} } : {}),
  ...(username === undefined
    ? {}
    : { sasl: { mechanism: 'SCRAM-SHA-512' as const, username, password: password ?? '' } }),
  connectTimeout: 3_000,
});

/** Connects nowhere by itself. */
export function createGroupClient(options: GroupClientOptions): Consumer {
  const { kafka, sessionTimeoutMs } = options;
  readJavaSnappy();
  const client = new Consumer({
    clientId: options.clientId,
    ...toConnectionOptions(kafka),
    groupId: options.groupId,
    ...(options.instanceId === undefined ? {} : { groupInstanceId: options.instanceId }),
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: Math.max(rebalanceTimeoutMs, sessionTimeoutMs),
    heartbeatInterval: Math.floor(sessionTimeoutMs / 5),
    // The name and the layout that kafkajs uses, so that a group can change its client member by member.
    protocols: [{ name: 'RoundRobinAssigner', version: 1 }],
    autocommit: false,
    // Joining waits for all members of the group.
    requestTimeout: rebalanceTimeoutMs + 5_000,
    retries: 2,
    retryDelay: 250,
  });
  guardUnlistedBroker(client);
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
  // A time-out says of itself that it cannot be tried again, and so does a handshake in which the broker went away; and a broker that
  // has just started may not know its topics yet.
  if (/timed out|Unknown topic|Connection closed/.test(describeError(error))) return true;
  return findBy.call(error, 'canRetry', false) === null || findBy.call(error, 'needsRejoin', true) !== null;
}
