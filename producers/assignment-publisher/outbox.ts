// The port between the relay and an outbox table: what is waiting, what to publish for it, and how to mark or repeat it.
import type { OutgoingRecord } from '#platform/kafka/record-producer.ts';

/** The part of a Postgres connection that an outbox needs. */
export type Connection = {
  query<Row extends object>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ rows: Row[]; rowCount: number | null }>;
};

/** Waiting rows in id order and the records that tell Kafka what these rows are about. Several rows may share a record. */
export type OutboxBatch = { readonly ids: readonly bigint[]; readonly records: readonly OutgoingRecord[] };

export type Outbox = {
  /** Name of the row in exp.outbox_relays, and the label of metrics and logs. */
  readonly relay: 'assignments' | 'definitions' | 'guardrails';
  /** Number of the advisory lock: one relay of this name publishes at a time. */
  readonly lockId: number;
  readonly topic: string;
  /** The oldest unpublished rows, as they are now. Always from the start: ids are drawn before the commit, so a lower one may appear later. */
  readBatch(connection: Connection, limit: number): Promise<OutboxBatch>;
  /** Marks rows as published if the epoch is still current. Returns false, and marks nothing, when another relay has taken over. */
  markPublished(connection: Connection, ids: readonly bigint[], epoch: bigint): Promise<boolean>;
  /** Puts what these rows are about into the outbox once more. */
  repeat(connection: Connection, ids: readonly bigint[]): Promise<void>;
  /** Removes rows published more than a day ago, at most `limit` of them; returns how many. */
  purge(connection: Connection, limit: number): Promise<number>;
  depth(connection: Connection): Promise<{ rows: number; oldestAgeSeconds: number }>;
};

type OutboxTable = 'exp.assignment_outbox' | 'exp.definition_outbox' | 'exp.guardrail_actions';

/** Rows counted at most: enough for an alert, and cheap when millions wait. */
const countedRows = 100_000;

/** The operations that differ between outboxes by the name of the table only. */
export function createOutboxTable(
  relay: Outbox['relay'],
  table: OutboxTable,
): Pick<Outbox, 'relay' | 'markPublished' | 'purge' | 'depth'> {
  return {
    relay,
    markPublished: async (connection, ids, epoch) => {
      // Sharing the lock of the relay's row keeps a successor from taking over between the check and the update.
      const { rows } = await connection.query<{ fenced: boolean }>(
        `WITH fence AS (SELECT 1 FROM exp.outbox_relays WHERE relay = $1 AND epoch = $2 FOR SHARE),
           marked AS (UPDATE ${table} SET published_at = now() WHERE id = ANY($3::bigint[]) AND EXISTS (SELECT FROM fence))
         SELECT NOT EXISTS (SELECT FROM fence) AS fenced`,
        [relay, epoch, ids],
      );
      return rows[0]?.fenced === false;
    },
    purge: async (connection, limit) => {
      // Bounded by the lowest ids and not by age: a search for old rows would read the whole table when there are none.
      const { rowCount } = await connection.query(
        `DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} ORDER BY id LIMIT $1)
           AND published_at < now() - interval '1 day'`,
        [limit],
      );
      return rowCount ?? 0;
    },
    depth: async (connection) => {
      const { rows } = await connection.query<{ rows: number; age: number }>(
        `SELECT
           (SELECT count(*)::integer FROM (SELECT FROM ${table} WHERE published_at IS NULL LIMIT ${countedRows}) AS waiting) AS rows,
           coalesce((SELECT extract(epoch FROM now() - created_at)::double precision FROM ${table}
             WHERE published_at IS NULL ORDER BY id LIMIT 1), 0) AS age`,
      );
      return { rows: rows[0]?.rows ?? 0, oldestAgeSeconds: rows[0]?.age ?? 0 };
    },
  };
}
