// Writes events to exp.events: COPY into a staging table, one insert that leaves known identities out, conflicts told apart.

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { eventDateOf } from '#domain/event/parse-event.ts';
import { RetryableError } from '#platform/errors.ts';
import type { DecodedRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { Sink } from '#platform/kafka/sink.ts';
import { isMissingPartition } from '#platform/postgres/missing-partition.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { AssignmentLookup } from './assignment-lookup.ts';
import { stagedColumns, toCopyText } from './transform.ts';

const columns = stagedColumns.join(', ');

/** Each session keeps its staging table, once the transaction that made it has committed; its rows go at every commit. */
async function ensureStaging(tx: PoolClient): Promise<void> {
  const found = await tx.query<{ there: boolean }>(`SELECT to_regclass('pg_temp.staged_events') IS NOT NULL AS there`);
  if (found.rows[0]?.there === true) return;
  await tx.query('CREATE TEMPORARY TABLE staged_events (LIKE exp.events) ON COMMIT DELETE ROWS');
}

async function copyStaged(tx: PoolClient, text: string): Promise<void> {
  const stream = tx.query(copyFrom(`COPY staged_events (${columns}) FROM STDIN`));
  await pipeline(Readable.from([Buffer.from(text)]), stream);
}

/** Identities that were there before: the same content again is a duplicate, other content a conflict. */
const conflictQuery = `
  SELECT s.source_offset
  FROM staged_events s
  JOIN exp.events e ON e.event_date = s.event_date AND e.event_id = s.event_id
  WHERE (e.event_type, e.unit_type, e.unit_id, e.experiments, e.context, e.metrics, e.event_time)
      IS DISTINCT FROM (s.event_type, s.unit_type, s.unit_id, s.experiments, s.context, s.metrics, s.event_time)
    OR e.payload IS DISTINCT FROM s.payload`;

export function createPostgresSink(deps: { pool: Pool; assignments: AssignmentLookup }): Sink<EventRecord> {
  const knownDays = new Set<string>();

  const toConflict = ({ record, value }: DecodedRecord<EventRecord>): RejectedRecord => ({
    record,
    rejection: {
      stage: 'sink',
      reason: 'conflict',
      error: `event ${value.event_id} of ${eventDateOf(value.event_time)} was accepted before with other content`,
      eventId: value.event_id,
      experimentIds: value.experiments.map((ref) => ref.experiment_id),
    },
  });

  async function insertStaged(tx: PoolClient): Promise<number> {
    try {
      const inserted = await tx.query(
        `INSERT INTO exp.events (${columns}) SELECT ${columns} FROM staged_events ON CONFLICT DO NOTHING`,
      );
      return inserted.rowCount ?? 0;
    } catch (error) {
      if (!isMissingPartition(error)) throw error;
      // The day was there when it was last prepared: retention took it since. The next attempt makes it again.
      knownDays.clear();
      throw new RetryableError('a day of exp.events is missing', { code: 'dependency-unavailable', cause: error });
    }
  }

  return {
    // Making a partition needs a transaction of its own: inside the flush it would hold its lock until the commit.
    prepare: async (batch) => {
      for (const { value } of batch.records) {
        const day = eventDateOf(value.event_time);
        if (knownDays.has(day)) continue;
        await deps.pool.query('SELECT exp.ensure_event_day($1::date)', [day]);
        knownDays.add(day);
      }
    },
    write: async (tx, batch) => {
      if (batch.records.length === 0) return { written: 0, duplicates: 0, rejected: [] };
      const mismatched = await deps.assignments.findMismatches(tx, batch.records);
      await ensureStaging(tx);
      await copyStaged(tx, toCopyText(batch.records, mismatched));
      const written = await insertStaged(tx);
      if (written === batch.records.length) return { written, duplicates: 0, rejected: [] };
      const conflicts = await tx.query<{ source_offset: bigint }>(conflictQuery);
      const offsets = new Set(conflicts.rows.map((row) => row.source_offset));
      const rejected = batch.records.filter(({ record }) => offsets.has(record.offset)).map(toConflict);
      return { written, duplicates: batch.records.length - written - rejected.length, rejected };
    },
  };
}
