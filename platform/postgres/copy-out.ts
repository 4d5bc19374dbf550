// Rows out of Postgres as a stream of COPY text.
import type { CopyToStreamQuery } from 'pg-copy-streams';
import { to as copyTo } from 'pg-copy-streams';
import type { PoolClient } from '#platform/postgres/pool.ts';

/**
 * Runs `COPY … TO STDOUT`. The client is busy until the stream has closed.
 *
 * pg-copy-streams does not tell node-postgres that such a query is over, as it does for the other direction: the driver's timer would
 * go on, keep the process alive until the timeout, and then report an error for rows that arrived long before.
 */
export function copyOut(client: PoolClient, sql: string): CopyToStreamQuery {
  const query: CopyToStreamQuery & { callback?: () => void } = copyTo(sql);
  // Replaced by node-postgres with one that stops its timer.
  query.callback = () => undefined;
  const stream = client.query(query);
  stream.once('close', () => query.callback?.());
  return stream;
}
