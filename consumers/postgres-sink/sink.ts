// Writes events to exp.events by COPY; when an identity is there already, through a staging table that tells duplicates and conflicts apart.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { eventDateOf } from '#domain/event/parse-event.ts';
import { RetryableError } from '#platform/errors.ts';
import type { DecodedRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { Sink, WriteResult } from '#platform/kafka/sink.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import { isMissingPartition, isUniqueViolation } from '#platform/postgres/sql-state.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { AssignmentLookup } from './assignment-lookup.ts';
import { copiedColumns, toCopyText } from './transform.ts';

const columns = copiedColumns.join(', ');

async function copyInto(tx: PoolClient, table: 'exp.events' | 'staged_events', text: Buffer): Promise<void> {
  await pipeline(Readable.from([text]), tx.query(copyFrom(`COPY ${table} (${columns}) FROM STDIN`)));
}

/** Each session keeps its staging table, once the transaction that made it has committed; its rows go at every commit. */
async function ensureStaging(tx: PoolClient): Promise<void> {
  const found = await tx.query<{ there: boolean }>(`SELECT to_regclass('pg_temp.staged_events') IS NOT NULL AS there`);
  if (found.rows[0]?.there === true) return;
  await tx.query('CREATE TEMPORARY TABLE staged_events (LIKE exp.events) ON COMMIT DELETE ROWS');
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
  /** Whether the last batch held identities that were there before: they come in runs, when a producer or a member starts again. */
  let expectsKnown = false;

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

  /** The quick way, half the work for Postgres: false, and nothing written, when any identity is there already. */
  const copyNew = async (tx: PoolClient, text: Buffer): Promise<boolean> => {
    await tx.query('SAVEPOINT before_copy');
    try {
      await copyInto(tx, 'exp.events', text);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      await tx.query('ROLLBACK TO SAVEPOINT before_copy');
      return false;
    }
    return true;
  };

  const insertUnknown = async (
    tx: PoolClient,
    text: Buffer,
    records: readonly DecodedRecord<EventRecord>[],
  ): Promise<WriteResult> => {
    await ensureStaging(tx);
    await copyInto(tx, 'staged_events', text);
    const inserted = await tx.query(
      `INSERT INTO exp.events (${columns}) SELECT ${columns} FROM staged_events ON CONFLICT DO NOTHING`,
    );
    const written = inserted.rowCount ?? 0;
    expectsKnown = written < records.length;
    if (!expectsKnown) return { written, duplicates: 0, rejected: [] };
    const conflicts = await tx.query<{ source_offset: bigint }>(conflictQuery);
    const offsets = new Set(conflicts.rows.map((row) => row.source_offset));
    const rejected = records.filter(({ record }) => offsets.has(record.offset)).map(toConflict);
    return { written, duplicates: records.length - written - rejected.length, rejected };
  };

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

    write: async (tx, { records }) => {
      if (records.length === 0) return { written: 0, duplicates: 0, rejected: [] };
      const text = Buffer.from(toCopyText(records, await deps.assignments.findMismatches(tx, records)));
      try {
        if (!expectsKnown && (await copyNew(tx, text))) {
          return { written: records.length, duplicates: 0, rejected: [] };
        }
        return await insertUnknown(tx, text, records);
      } catch (error) {
        if (!isMissingPartition(error)) throw error;
        // The day was there when the batch was prepared: retention took it since. It is made again for the next attempt.
        knownDays.clear();
        throw new RetryableError('a day of exp.events is missing', { code: 'dependency-unavailable', cause: error });
      }
    },
  };
}
