// Tests the choice of ports.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { chooseFreePort, choosePorts, isPortFree } from './ports.ts';

test('takes the preferred port when it is free and another when it is not', async () => {
  const ports = await choosePorts({ kafka: 9092, postgres: 5432 }, async (port) => port !== 5432);
  expect(ports.kafka).toBe(9092);
  expect(ports.postgres).not.toBe(5432);
});

test('gives no port twice, even when two names prefer the same', async () => {
  const ports = await choosePorts({ a: 9000, b: 9000, c: undefined, d: undefined }, async () => true);
  expect(new Set(Object.values(ports)).size).toBe(4);
});

test('stays outside the range of outgoing connections, where a client could connect to itself', async () => {
  for (const random of [0, 0.5, 0.999_999]) {
    const port = await chooseFreePort(
      new Set(),
      async () => true,
      () => random,
    );
    expect(port).toBeGreaterThanOrEqual(20_000);
    expect(port).toBeLessThan(32_000);
  }
});

test('goes round to the start of the range and past taken ports', async () => {
  const port = await chooseFreePort(
    new Set([20_000]),
    async (candidate) => candidate < 20_010,
    () => 0.999_999,
  );
  expect(port).toBe(20_001);
});

test('says so when no port is free', async () => {
  await expect(
    chooseFreePort(
      new Set(),
      async () => false,
      () => 0,
    ),
  ).rejects.toThrow('no free port');
});

test.each(['127.0.0.1', '0.0.0.0'])('sees a port taken by a listener on %s', async (host) => {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await isPortFree(port)).toBe(false);
  server.close();
  await once(server, 'close');
  expect(await isPortFree(port)).toBe(true);
});
