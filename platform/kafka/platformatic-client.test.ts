// The guard of the client that would read the address of a broker that the cluster does not list.
import type { Broker } from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { plaintext } from '#platform/kafka/kafka-client.ts';
import { createGroupClient, isTransientClientError, toConnectionOptions } from '#platform/kafka/platformatic-client.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';

test('a broker that the cluster does not list is an error that may pass, for callbacks and for promises', async () => {
  const client = createGroupClient({
    kafka: plaintext(['127.0.0.1:1']),
    clientId: 'test',
    groupId: 'test',
    topic: 'test',
    sessionTimeoutMs: 10_000,
    log: createSilentLogger(),
  });
  const unlisted = undefined as unknown as Broker;
  const told = await new Promise<Error | null>((resolve) => {
    client.connections.get(unlisted, (error: Error | null) => resolve(error));
  });
  expect(isTransientClientError(told)).toBe(true);
  await expect(client.connections.get(unlisted)).rejects.toThrow('does not list the broker');
  await client.close();
});

test('the client comes to the brokers by TLS and with a password when the settings say so', () => {
  const secured = { brokers: ['a:1', 'b:2'], ssl: true, username: 'name', password: 'word' };
  expect(toConnectionOptions(secured)).toMatchObject({
    bootstrapBrokers: ['a:1', 'b:2'],
    tls: {},
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'name', password: 'word' },
  });
  expect(toConnectionOptions(plaintext(['a:1']))).not.toHaveProperty('tls');
  expect(toConnectionOptions(plaintext(['a:1']))).not.toHaveProperty('sasl');
});
