// Limits how often each API key may ask all instances together: counted in Redis, and in each process while Redis is away.
import { createInProcessRateLimiter, type RateLimitConfig, type RateLimiter } from '#api/rate-limit.ts';
import { createRedis, type Redis } from '#platform/redis/redis-client.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

/** Longer than Redis ever takes when it is well; a request waits for it at most this long. */
const commandTimeoutMs = 100;

/**
 * The same algorithm as in the process (GCRA), by Redis's clock, as one atomic step: the key holds the time in microseconds at which
 * the requests so far would be spread evenly, and disappears when that time has passed. Returns the wait in microseconds, 0 when the
 * request is allowed and counted.
 */
const takeScript = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local wait = due - tolerance - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', due + interval), 'PX', math.ceil((due + interval - now) / 1000) + 1)
return 0`;

type RedisWithScript = Redis & { takeRequest(key: string, interval: string, tolerance: string): Promise<number> };

export type SharedRateLimiter = RateLimiter & Disposable;

/** `scope` separates what shares one Redis, such as two services or environments. */
export function createSharedRateLimiter(options: {
  redisUrl: string;
  scope: string;
  config: RateLimitConfig;
  log: Logger;
}): SharedRateLimiter {
  const { scope, config } = options;
  const redis = createRedis({
    url: options.redisUrl,
    clientName: `${scope}-rate-limit`,
    commandTimeoutMs,
    log: options.log,
  }) as RedisWithScript;
  redis.defineCommand('takeRequest', { numberOfKeys: 1, lua: takeScript });
  const intervalUs = 1_000_000 / config.requestsPerSecond;
  const toleranceUs = intervalUs * (config.burst - 1);
  // Without Redis each instance allows the whole limit: more than before, and never without bound.
  const alone = createInProcessRateLimiter(config, () => performance.now());
  return {
    take: async (caller) => {
      if (redis.status !== 'ready') return alone.take(caller);
      let waitUs: number;
      try {
        waitUs = await redis.takeRequest(`rate-limit:${scope}:${caller}`, String(intervalUs), String(toleranceUs));
      } catch {
        return alone.take(caller);
      }
      return waitUs === 0
        ? { allowed: true }
        : { allowed: false, retryAfterSeconds: Math.max(1, Math.ceil(waitUs / 1_000_000)) };
    },
    [Symbol.dispose]: () => redis.disconnect(),
  };
}

/** Shared when there is a Redis, else of this process alone; disposed with `resources`. */
export function createRateLimiter(
  options: { redisUrl: string | undefined; scope: string; config: RateLimitConfig; log: Logger },
  resources: AsyncDisposableStack,
): RateLimiter {
  const { redisUrl, config } = options;
  if (redisUrl === undefined) return createInProcessRateLimiter(config, () => performance.now());
  return resources.use(createSharedRateLimiter({ ...options, redisUrl }));
}
