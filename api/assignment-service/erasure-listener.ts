// Hears of erasures by any instance, so that this one forgets the unit's assignments that it holds in memory.
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';

const channel = 'exp_erasures';

export type ErasureListener = {
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * States: *listening* on a connection of its own; *deaf* while there is none, trying again every `retryMs`. Whoever was deaf may have
 * missed erasures, so everything is forgotten when it listens again. `onErased` gets the id of the unit.
 */
export function createErasureListener(options: {
  pool: Pool;
  onErased: (unitId: string) => void;
  onMissed: () => void;
  retryMs?: number;
}): ErasureListener {
  const { pool } = options;
  let client: PoolClient | undefined;
  let timer: NodeJS.Timeout | undefined;
  let connecting: Promise<void> = Promise.resolve();
  let stopped = false;

  const listen = async (): Promise<void> => {
    const next = await pool.connect();
    let isReleased = false;
    const release = (error: Error): void => {
      if (isReleased) return;
      isReleased = true;
      if (client === next) client = undefined;
      next.release(error);
      reconnectLater();
    };
    // The pool does not watch connections that it has lent: without this, a lost one would end the process.
    next.on('error', release);
    next.on('notification', ({ payload }) => {
      if (payload !== undefined) options.onErased(payload);
    });
    try {
      await next.query(`LISTEN ${channel}`);
      client = next;
    } catch (error) {
      release(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  };
  const reconnectLater = (): void => {
    if (stopped) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      connecting = listen().then(options.onMissed, reconnectLater);
    }, options.retryMs ?? 500).unref();
  };

  return {
    start: listen,
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      clearTimeout(timer);
      await connecting;
      client?.removeAllListeners('notification');
      client?.release(true);
      client = undefined;
    },
  };
}
