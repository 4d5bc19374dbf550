// Chooses the ports of the local stack: the well-known one when it is free, else a free one.
import { connect, createServer } from 'node:net';

export const loopback = '127.0.0.1';

// Below the range that the system hands out to outgoing connections (32768 and up on Linux): a client that keeps trying a stopped
// component on a port of that range can be given the same port as its source, connect to itself and block the port.
const freePortRange = { first: 20_000, end: 32_000 };

export type IsPortFree = (port: number) => Promise<boolean>;

export async function isPortFree(port: number): Promise<boolean> {
  return !(await isAnswered(port)) && (await canListen(port));
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: loopback, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

// A listener on all addresses does not hinder a second one on 127.0.0.1 everywhere, but it would take our connections.
function isAnswered(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: loopback, timeout: 500 });
    const settle = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}

/** A free port that is not in `taken`. `isFree` and `random` are arguments for tests. */
export async function chooseFreePort(
  taken: ReadonlySet<number>,
  isFree: IsPortFree = isPortFree,
  random: () => number = Math.random,
): Promise<number> {
  const size = freePortRange.end - freePortRange.first;
  const start = Math.floor(random() * size);
  for (let step = 0; step < size; step += 1) {
    const port = freePortRange.first + ((start + step) % size);
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  throw new Error(`no free port between ${freePortRange.first} and ${freePortRange.end}`);
}

/** One port per wanted name: the preferred one when free, else another; `undefined` prefers none. No port is given twice. */
export async function choosePorts<Name extends string>(
  preferred: Readonly<Record<Name, number | undefined>>,
  isFree: IsPortFree = isPortFree,
): Promise<Record<Name, number>> {
  const taken = new Set<number>();
  const chosen: Partial<Record<Name, number>> = {};
  for (const [name, port] of Object.entries(preferred) as [Name, number | undefined][]) {
    const choice =
      port !== undefined && !taken.has(port) && (await isFree(port)) ? port : await chooseFreePort(taken, isFree);
    taken.add(choice);
    chosen[name] = choice;
  }
  return chosen as Record<Name, number>;
}
