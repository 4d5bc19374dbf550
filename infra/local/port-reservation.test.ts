// Tests that two who choose at the same time never get one port, and that ports come back.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reservePorts } from './port-reservation.ts';
import { chooseFreePort } from './ports.ts';

let folder: string;
let port: number;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trialstream-port-reservation-'));
  port = await chooseFreePort(new Set());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a port that somebody chose is not chosen again before it is given back, although nobody listens yet', async () => {
  const first = await reservePorts({ kafka: port }, folder);
  expect(first.ports.kafka).toBe(port);
  const second = await reservePorts({ kafka: port }, folder);
  expect(second.ports.kafka).not.toBe(port);
  second.release();
  first.release();
  const third = await reservePorts({ kafka: port }, folder);
  expect(third.ports.kafka).toBe(port);
  third.release();
});

test('the claim of a process that ended counts for nothing', async () => {
  writeFileSync(join(folder, String(port)), JSON.stringify({ pid: 1, startedAt: 'before this boot' }));
  const { ports, release } = await reservePorts({ kafka: port }, folder);
  expect(ports.kafka).toBe(port);
  release();
});

test('without a folder for claims a free port is chosen all the same', async () => {
  const { ports } = await reservePorts({ kafka: port }, join(folder, String(port), 'no', '\0'));
  expect(ports.kafka).toBe(port);
});
