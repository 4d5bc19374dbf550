// Postgres connections for bulk work and transactions: one way to open a pool, with UTC sessions, bounded waits and dates kept as text.
import pg from 'pg';
import { FatalError } from '#platform/errors.ts';

export type Pool = pg.Pool;
export type PoolClient = pg.PoolClient;

export type PostgresConfig = { url: string; poolSize: number };

export type PoolOptions = PostgresConfig & {
  /** Shown in pg_stat_activity: the folder of the process. */
  applicationName: string;
  statementTimeoutMs?: number;
  onIdleError?: (error: Error) => void;
};

/** How long a transaction may sit idle: a process frozen inside one must not block its successor for longer. */
export const idleInTransactionTimeoutMs = 10_000;

/** Postgres ends a statement at its timeout; no word of it for so long after that means that the connection is dead without being closed. */
const answerMarginMs = 5_000;

const isReadTimeout = (error: unknown): boolean => error instanceof Error && error.message === 'Query read timeout';

const dateOid = 1082;
const bigintOid = 20;

// A date is a calendar day, not an instant: node-postgres would otherwise shift it by the local time zone.
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === dateOid) return (value: string) => value;
    if (oid === bigintOid) return (value: string) => BigInt(value);
    return pg.types.getTypeParser(oid, format as 'text');
  }) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * A pool for bulk work and hand-written transactions. `bigint` columns are read as BigInt, `date` as text.
 * Connections that break while idle are reported to `onIdleError` and replaced by the pool.
 */
export function createPostgresPool(options: PoolOptions): Pool {
  const statementTimeoutMs = options.statementTimeoutMs ?? 60_000;
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: options.applicationName,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    query_timeout: statementTimeoutMs + answerMarginMs,
    types,
    options: `-c TimeZone=UTC -c statement_timeout=${statementTimeoutMs} -c lock_timeout=${Math.min(statementTimeoutMs, 30_000)} -c idle_in_transaction_session_timeout=${idleInTransactionTimeoutMs}`,
  });
  pool.on('error', (error) => options.onIdleError?.(error));
  // The pool watches idle connections only, and an error nobody listens to ends the process. Whoever holds the connection gets the
  // error by the query that runs, or by the next one.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  return pool;
}

/** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
export async function inTransaction<T>(pool: Pool, work: (tx: PoolClient) => Promise<T>): Promise<T> {
  const tx = await pool.connect();
  let broken: Error | undefined;
  try {
    await tx.query('BEGIN');
    const result = await work(tx);
    const { command } = await tx.query('COMMIT');
    // A transaction with a failed statement ends in a rollback that looks like a success.
    if (command !== 'COMMIT') throw new FatalError(`Postgres answered COMMIT with ${command}`, { code: 'unexpected' });
    return result;
  } catch (error) {
    try {
      // Nothing comes back over a dead connection: asking it for a rollback would wait as long again.
      if (isReadTimeout(error)) broken = error as Error;
      else await tx.query('ROLLBACK');
    } catch (rollbackError) {
      // The connection is gone or in an unknown state: it must not go back to the pool.
      broken = rollbackError instanceof Error ? rollbackError : new Error(String(rollbackError));
    }
    throw error;
  } finally {
    tx.release(broken);
  }
}
