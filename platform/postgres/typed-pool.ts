// Typed queries by Slonik: each names the schema of its rows, and rows that are not so are an error instead of a surprise later.
import { createPool, type DatabasePool, type Interceptor, SlonikError } from 'slonik';
import { FatalError } from '#platform/errors.ts';
import { idleInTransactionTimeoutMs, type PoolOptions } from './pool.ts';

export type { QuerySqlToken } from 'slonik';
export { sql } from 'slonik';

export type TypedPool = {
  /** All rows of the query, each as its schema says. @throws FatalError for a row that is not. */
  any: DatabasePool['any'];
  /** The row of the query, or null. */
  maybeOne: DatabasePool['maybeOne'];
  end(): Promise<void>;
};

/** Slonik itself only compiles against row schemas; this checks them too. */
const rowCheck: Interceptor = {
  name: 'row-check',
  transformRow: ({ resultParser }, { sql: text }, row) => {
    if (resultParser === undefined) return row;
    const parsed = resultParser.safeParse(row);
    if (parsed.success) return parsed.data;
    throw new FatalError(`a row of "${text.trim().slice(0, 60)}…" is not as the query says`, {
      code: 'unexpected',
      cause: parsed.error,
    });
  },
};

/** Errors of Postgres and of the connection as node-postgres gives them, so that they are classified alike everywhere. */
async function unwrapped<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof SlonikError && error.cause !== undefined ? error.cause : error;
  }
}

/** Connects, and rejects when that fails. `bigint` columns are read as BigInt, `date` as text, as everywhere. */
export async function createTypedPool(options: PoolOptions): Promise<TypedPool> {
  const address = new URL(options.url);
  address.searchParams.set('application_name', options.applicationName);
  address.searchParams.set('options', '-c TimeZone=UTC');
  const pool = await createPool(address.toString(), {
    maximumPoolSize: options.poolSize,
    connectionTimeout: 5_000,
    statementTimeout: options.statementTimeoutMs ?? 30_000,
    idleInTransactionSessionTimeout: idleInTransactionTimeoutMs,
    connectionRetryLimit: 1,
    queryRetryLimit: 1,
    interceptors: [rowCheck],
    typeParsers: [
      { name: 'date', parse: (value) => value },
      { name: 'int8', parse: (value) => BigInt(value) },
      { name: 'timestamptz', parse: (value) => new Date(value) },
    ],
  });
  return {
    any: (query) => unwrapped(pool.any(query)),
    maybeOne: (query) => unwrapped(pool.maybeOne(query)),
    end: () => pool.end(),
  };
}
