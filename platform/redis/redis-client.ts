// Connections to Redis: one that never makes a caller wait while Redis is away, one that waits, one that must be there at once.
import { Redis } from 'ioredis';
import { describeError, RetryableError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export type { Redis } from 'ioredis';

const connectTimeoutMs = 3_000;
const retryStrategy = (attempt: number): number => Math.min(100 * 2 ** Math.min(attempt, 6), 2_000);

/**
 * Connects in the background. While there is no connection, commands are refused at once; one that is not answered within
 * `commandTimeoutMs` is given up. For what can do without Redis. Close it with `disconnect()`.
 */
export function createRedis(options: {
  url: string;
  clientName: string;
  commandTimeoutMs: number;
  log: Logger;
}): Redis {
  const redis = new Redis(options.url, {
    connectionName: options.clientName,
    commandTimeout: options.commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy,
  });
  logOutages(redis, options.log);
  return redis;
}

/**
 * Connects in the background; commands wait for the connection however long Redis is away. For a worker, which has nothing to do
 * meanwhile. Close it with `disconnect()`.
 */
export function createPatientRedis(options: { url: string; clientName: string; log: Logger }): Redis {
  const redis = new Redis(options.url, {
    connectionName: options.clientName,
    connectTimeout: connectTimeoutMs,
    maxRetriesPerRequest: null,
    retryStrategy,
  });
  logOutages(redis, options.log);
  return redis;
}

/**
 * A connection that is there. Commands fail when it is lost. For commands of people. Close it with `disconnect()`.
 * @throws RetryableError that says where Redis was looked for when it does not answer.
 */
export async function connectRedis(options: { url: string; clientName: string }): Promise<Redis> {
  const redis = new Redis(options.url, {
    connectionName: options.clientName,
    connectTimeout: connectTimeoutMs,
    lazyConnect: true,
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
  });
  let lastError: unknown;
  // Without a listener it writes to the console.
  redis.on('error', (error) => {
    lastError = error;
  });
  try {
    await redis.connect();
    await redis.ping();
    return redis;
  } catch (error) {
    redis.disconnect();
    // Refused credentials are told by the answer, a refused connection by the event.
    const cause = /NOAUTH|WRONGPASS/.test(String(error)) ? error : (lastError ?? error);
    throw new RetryableError(`Redis at ${new URL(options.url).host} cannot be used`, {
      code: 'dependency-unavailable',
      cause,
    });
  }
}

function logOutages(redis: Redis, log: Logger): void {
  let isAway = false;
  redis.on('error', (error: unknown) => {
    if (!isAway) log.warn({ cause: describeError(error) }, 'Redis is away');
    isAway = true;
  });
  redis.on('ready', () => {
    if (isAway) log.info('Redis is back');
    isAway = false;
  });
}
