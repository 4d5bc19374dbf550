// A connection to Redis that heals by itself and never makes a caller wait while Redis is away.
import { Redis } from 'ioredis';
import { describeError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export type { Redis } from 'ioredis';

/**
 * Connects in the background. While there is no connection, commands are refused at once; one that is not answered within
 * `commandTimeoutMs` is given up. For what can do without Redis: a queue of jobs waits instead, with a connection of its own.
 * Close it with `disconnect()`.
 */
export function createRedis(options: {
  url: string;
  clientName: string;
  commandTimeoutMs: number;
  log: Logger;
}): Redis {
  const { log } = options;
  const redis = new Redis(options.url, {
    connectionName: options.clientName,
    commandTimeout: options.commandTimeoutMs,
    connectTimeout: 3_000,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(100 * 2 ** Math.min(attempt, 6), 2_000),
  });
  let isAway = false;
  redis.on('error', (error: unknown) => {
    if (!isAway) log.warn({ cause: describeError(error) }, 'Redis is away');
    isAway = true;
  });
  redis.on('ready', () => {
    if (isAway) log.info('Redis is back');
    isAway = false;
  });
  return redis;
}
