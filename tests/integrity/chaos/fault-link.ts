// A TCP link between one client and one server that can be slow, cut or silent, and that shows its bytes to those who aim at a moment.
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * open: bytes pass. slow: each piece waits. narrow: so many bytes per second. silent: connections stay and nothing passes.
 * cut: connections break, new ones too.
 */
export type LinkState =
  | { readonly kind: 'open' | 'silent' | 'cut' }
  | { readonly kind: 'slow'; readonly latencyMs: number }
  | { readonly kind: 'narrow'; readonly bytesPerSecond: number };

export type Direction = 'request' | 'answer';

/** What is on its way. `connection` is the same object for both directions of one connection, for the watcher to keep notes on. */
export type Passing = { readonly direction: Direction; readonly bytes: Buffer; readonly connection: object };

/** Sees bytes before they pass; they wait for it. `drop` breaks the connection instead of passing them on. */
export type Watcher = (passing: Passing) => undefined | Promise<'pass' | 'drop'>;

export type FaultLink = {
  readonly port: number;
  become(state: LinkState): void;
  /** Returns the function that ends the watching. */
  watch(watcher: Watcher): () => void;
  close(): Promise<void>;
};

type Connection = { readonly client: Socket; readonly server: Socket };

/** Listens on a free port of 127.0.0.1 and connects to the target port there for each connection that it gets. */
export async function openFaultLink(options: { targetPort: number }): Promise<FaultLink> {
  let state: LinkState = { kind: 'open' };
  let changed = Promise.withResolvers<void>();
  const watchers = new Set<Watcher>();
  const open = new Set<Connection>();

  const destroy = (connection: Connection): void => {
    open.delete(connection);
    connection.client.destroy();
    connection.server.destroy();
  };

  /** Resolves when the bytes may go on; false when the connection is to be broken. */
  const admit = async (passing: Passing, connection: Connection): Promise<boolean> => {
    while (state.kind === 'silent') await changed.promise;
    if (state.kind === 'cut' || !open.has(connection)) return false;
    if (state.kind === 'slow') await sleep(state.latencyMs);
    if (state.kind === 'narrow') await sleep((passing.bytes.length * 1_000) / state.bytesPerSecond);
    for (const watcher of watchers) {
      const verdict = watcher(passing);
      if (verdict !== undefined && (await verdict) === 'drop') return false;
    }
    return true;
  };

  const pump = async (direction: Direction, connection: Connection): Promise<void> => {
    const [from, to] =
      direction === 'request' ? [connection.client, connection.server] : [connection.server, connection.client];
    try {
      // Reading on only when the piece has passed: what is held back fills the sender's window, not our memory.
      for await (const bytes of from as AsyncIterable<Buffer>) {
        if (!(await admit({ direction, bytes, connection }, connection))) break;
        if (!to.write(bytes)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
      }
    } catch {
      // Broken by one of its ends: the other one learns it below.
    }
    if (from.readableEnded && !from.errored) to.end();
    else destroy(connection);
  };

  const server = createServer({ allowHalfOpen: true }, (client) => {
    client.on('error', () => undefined);
    if (state.kind === 'cut') {
      client.destroy();
      return;
    }
    const connection: Connection = {
      client,
      server: connect({ port: options.targetPort, host: '127.0.0.1', allowHalfOpen: true }),
    };
    connection.server.on('error', () => destroy(connection));
    open.add(connection);
    client.once('close', () => destroy(connection));
    void pump('request', connection);
    void pump('answer', connection);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the link has no port');

  return {
    port: address.port,
    become: (next) => {
      state = next;
      changed.resolve();
      changed = Promise.withResolvers();
      if (next.kind === 'cut') for (const connection of [...open]) destroy(connection);
    },
    watch: (watcher) => {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    close: async () => {
      state = { kind: 'cut' };
      changed.resolve();
      for (const connection of [...open]) destroy(connection);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
