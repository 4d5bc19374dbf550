// For tests: real Kafka behind a network link that can be cut, or that can lose the broker's answers.
import { connect, createServer, type Socket } from 'node:net';
import kafkajs, { type Kafka, logLevel } from 'kafkajs';

export type CuttableLink = {
  /** A client whose every connection goes through the link. */
  readonly kafka: Kafka;
  /** open: bytes pass. cut: connections break and new ones are refused. answers-lost: requests pass, answers do not. */
  become(state: 'open' | 'cut' | 'answers-lost'): void;
  /** Requests that reached the broker while its answers were lost, in bytes. */
  lostBytes(): number;
  [Symbol.asyncDispose](): Promise<void>;
};

/** The link follows the addresses that the broker advertises, as every client must. */
export async function createCuttableLink(options: { brokers: readonly string[] }): Promise<CuttableLink> {
  let state: 'open' | 'cut' | 'answers-lost' = 'open';
  let lost = 0;
  const sockets = new Set<Socket>();
  const targets = new Map<string, { port: number; close(): Promise<void> }>();

  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  };
  const openTarget = async (host: string, port: number): Promise<number> => {
    const name = `${host}:${port}`;
    const known = targets.get(name);
    if (known !== undefined) return known.port;
    const server = createServer((client) => {
      track(client);
      if (state === 'cut') {
        client.destroy();
        return;
      }
      const broker = connect({ host, port });
      track(broker);
      client.on('data', (chunk) => broker.write(chunk));
      broker.on('data', (chunk) => {
        if (state === 'answers-lost') lost += chunk.length;
        else client.write(chunk);
      });
      client.on('close', () => broker.destroy());
      broker.on('close', () => client.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the link has no port');
    targets.set(name, {
      port: address.port,
      close: () => new Promise((resolve) => server.close(() => resolve())),
    });
    return address.port;
  };
  for (const broker of options.brokers) {
    const [host, port] = broker.split(':');
    await openTarget(host!, Number(port));
  }
  const kafka = new kafkajs.Kafka({
    clientId: 'cuttable-link',
    brokers: [...options.brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 500,
    requestTimeout: 1_000,
    enforceRequestTimeout: true,
    retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 2 },
    socketFactory: ({ host, port, onConnect }) => {
      const target = targets.get(`${host}:${port}`);
      if (target === undefined) throw new Error(`the link does not lead to ${host}:${port}`);
      const socket = connect({ host: '127.0.0.1', port: target.port }, onConnect);
      return socket;
    },
  });
  return {
    kafka,
    become: (next) => {
      state = next;
      if (next === 'cut') for (const socket of sockets) socket.destroy();
    },
    lostBytes: () => lost,
    [Symbol.asyncDispose]: async () => {
      state = 'cut';
      for (const socket of sockets) socket.destroy();
      await Promise.all([...targets.values()].map((target) => target.close()));
    },
  };
}
