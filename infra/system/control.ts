// Where a keeper takes orders: a small HTTP server for this machine only, with a secret that only its owner can read.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import Fastify from 'fastify';
import { topics } from '#schemas/topics.ts';
import { describeError } from '../local/stack-error.ts';
import { type ProcessName, processSpecs } from './process-specs.ts';
import type { System } from './system.ts';

export type Control = AsyncDisposable & { readonly access: { readonly url: string; readonly token: string } };

type ScaleOrder = { readonly name: string; readonly count: number };

const groups: readonly string[] = topics.events.groups;

/** Why an order cannot be carried out; null when it can. */
function findProblem({ name, count }: ScaleOrder): string | null {
  if (!groups.includes(name) || !processSpecs.some((spec) => spec.name === name))
    return `${name} is no consumer group; there are ${groups.join(', ')}`;
  const most = topics.events.partitions;
  if (!Number.isInteger(count) || count < 0 || count > most)
    return `the number of members must be from 0 to ${most}, the partitions of the topic`;
  return null;
}

/** `POST /scale {name, count}` answers with the processes that run when all of them are ready. */
export async function startControl(options: {
  system: System;
  /** After the set of processes has changed. */
  onChange: () => void;
  onError: (text: string) => void;
}): Promise<Control> {
  const { system } = options;
  const token = randomBytes(24).toString('hex');
  const expected = Buffer.from(`Bearer ${token}`);
  const app = Fastify({ logger: false });
  app.addHook('onRequest', async (request, reply) => {
    const given = Buffer.from(request.headers.authorization ?? '');
    if (given.length !== expected.length || !timingSafeEqual(given, expected))
      return reply.code(401).send({ message: 'the token of system.json is needed' });
  });
  app.post('/scale', async (request, reply) => {
    const order = request.body as ScaleOrder;
    const problem = findProblem(order);
    if (problem !== null) return reply.code(400).send({ message: problem });
    try {
      await system.scale(order.name as ProcessName, order.count);
    } catch (error) {
      options.onError(describeError(error));
      return reply.code(500).send({ message: describeError(error) });
    } finally {
      options.onChange();
    }
    return [...system.processes.values()]
      .filter(({ name, pid }) => name.replace(/-\d+$/, '') === order.name && pid !== undefined)
      .map(({ name, pid, url }) => ({ name, pid, url }));
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { access: { url, token }, [Symbol.asyncDispose]: () => app.close() };
}
