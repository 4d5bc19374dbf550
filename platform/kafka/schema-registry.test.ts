// A registry that cannot be reached is waited for; only what a registry really says can be wrong for good.
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';

const open: Server[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(open.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

/** Address of a server that does this with every connection. */
async function listen(behave: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    behave(socket);
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const answer = (status: string, body: string) => (socket: Socket) =>
  socket.on('data', () =>
    socket.end(`HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
  );

describe('a registry', () => {
  it('that hangs up is away', async () => {
    const url = await listen((socket) => socket.on('data', () => socket.destroy()));
    await expect(createSchemaRegistry({ url }).findById(1)).rejects.toThrow(RetryableError);
  });

  it('that stays silent is away', async () => {
    const url = await listen(() => undefined);
    await expect(createSchemaRegistry({ url, timeoutMs: 50 }).findById(1)).rejects.toThrow(RetryableError);
  });

  it('that nobody listens for is away', async () => {
    const url = await listen(() => undefined);
    await new Promise((resolve) => open.pop()!.close(resolve));
    await expect(createSchemaRegistry({ url }).idOf('s', { type: 'string' })).rejects.toThrow(RetryableError);
  });

  it('that fails inside is away', async () => {
    const url = await listen(answer('500 Internal Server Error', '{"message":"no database"}'));
    await expect(createSchemaRegistry({ url }).findById(1)).rejects.toThrow(RetryableError);
  });

  it('that refuses is believed', async () => {
    const url = await listen(answer('400 Bad Request', '{"message":"no such thing"}'));
    await expect(createSchemaRegistry({ url }).findById(1)).rejects.toThrow(FatalError);
  });

  it('that does not know an id says so', async () => {
    const url = await listen(answer('404 Not Found', '{"error_code":40403,"message":"Schema not found"}'));
    expect(await createSchemaRegistry({ url }).findById(1)).toBeNull();
  });

  it('that does not have the schema of a writer says what to do', async () => {
    const url = await listen(answer('404 Not Found', '{"error_code":40403,"message":"Schema not found"}'));
    const found = createSchemaRegistry({ url }).idOf('s', { type: 'string' });
    await expect(found).rejects.toThrow('the schema of s is not registered: run "ops deploy" first');
    await expect(found).rejects.toThrow(FatalError);
  });
});
