// Advisory locks that a Postgres session holds: one session at a time does a piece of work, and a session that dies gives its lock back.
import type { Pool, PoolClient } from './pool.ts';

/** What is locked: a name, or a pair of numbers where the lock must be told apart from others in pg_locks. */
export type SessionLock = string | readonly [space: number, id: number];

const keyOf = (lock: SessionLock): { sql: string; values: readonly unknown[] } =>
  typeof lock === 'string' ? { sql: 'hashtextextended($1, 0)', values: [lock] } : { sql: '$1, $2', values: lock };

/**
 * Waits for the lock, runs `work` on the connection that holds it, and gives it back. A query on that connection fails when the
 * lock is lost, because the session is.
 * @throws what `work` throws; the session ends then, whatever state it was in, and the lock with it.
 */
export async function withSessionLock<T>(
  pool: Pool,
  lock: SessionLock,
  work: (connection: PoolClient) => Promise<T>,
): Promise<T> {
  const { sql, values } = keyOf(lock);
  return onOneConnection(pool, async (connection) => {
    await connection.query(`SELECT pg_advisory_lock(${sql})`, [...values]);
    return workAndUnlock(connection, lock, work);
  });
}

/** Like `withSessionLock`, but does not wait: null, without running `work`, while another session has the lock. */
export async function trySessionLock<T>(
  pool: Pool,
  lock: SessionLock,
  work: (connection: PoolClient) => Promise<T>,
): Promise<{ readonly result: T } | null> {
  const { sql, values } = keyOf(lock);
  return onOneConnection(pool, async (connection) => {
    const { rows } = await connection.query<{ taken: boolean }>(`SELECT pg_try_advisory_lock(${sql}) AS taken`, [
      ...values,
    ]);
    if (rows[0]?.taken !== true) return null;
    return { result: await workAndUnlock(connection, lock, work) };
  });
}

async function workAndUnlock<T>(
  connection: PoolClient,
  lock: SessionLock,
  work: (connection: PoolClient) => Promise<T>,
): Promise<T> {
  const { sql, values } = keyOf(lock);
  const result = await work(connection);
  await connection.query(`SELECT pg_advisory_unlock(${sql})`, [...values]);
  return result;
}

async function onOneConnection<T>(pool: Pool, work: (connection: PoolClient) => Promise<T>): Promise<T> {
  const connection = await pool.connect();
  let broken: Error | undefined;
  try {
    return await work(connection);
  } catch (error) {
    // Closed instead of put back: it may hold the lock.
    broken = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    connection.release(broken);
  }
}
