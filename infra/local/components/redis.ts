// Redis: shared rate limits and the queue of jobs. Only with the profile `ml`, because the core system does without it.
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type ComponentContext, defineComponent, getPort } from '../component.ts';
import { loopback } from '../ports.ts';
import { ensureRedisServer } from '../redis-server.ts';

export const redis = defineComponent({
  name: 'redis',
  title: 'Redis',
  profile: 'ml',
  dependsOn: [],
  ports: { redis: 6379 },
  stopSignal: 'TERM',
  graceSeconds: 10,
  healthDeadlineMs: 30_000,
  prepare: async (context) => {
    const file = await ensureRedisServer(context.onProgress);
    const settings = join(context.dataDir, 'redis.conf');
    const lines = [
      `bind ${loopback}`,
      `port ${getPort(context, 'redis')}`,
      // Not among the arguments, which every user of the machine can read.
      `requirepass ${context.credentials.redisPassword}`,
      `dir "${context.dataDir}"`,
      // Jobs must survive a restart; nothing may be thrown out to make room.
      'appendonly yes',
      'save ""',
      'maxmemory-policy noeviction',
    ];
    await writeFile(settings, `${lines.join('\n')}\n`, { mode: 0o600 });
    return { file, args: [settings] };
  },
  check: async (context) => {
    const answer = await ask(context, `AUTH ${context.credentials.redisPassword}\r\nPING\r\nQUIT\r\n`);
    if (answer !== '+OK\r\n+PONG\r\n+OK\r\n') throw new Error('PING is not answered');
  },
  endpoint: (context) => ({
    url: `redis://:${context.credentials.redisPassword}@${loopback}:${getPort(context, 'redis')}`,
  }),
});

/** What the server says to inline commands until it closes the connection. */
function ask(context: ComponentContext, commands: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(getPort(context, 'redis'), loopback, () => socket.write(commands));
    socket.setTimeout(3_000, () => socket.destroy(new Error('Redis is silent')));
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('error', reject).on('close', () => resolve(text));
  });
}
