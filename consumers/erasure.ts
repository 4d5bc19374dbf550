// Keeps erased units out of what consumers write: events of erased units, replayed or late, arrive at the sink under a pseudonym.
import { hashUnit } from '#domain/archive/erased-units.ts';
import { erasureKeyFingerprint, pseudonymizeEvent } from '#domain/erasure/pseudonymize-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { RetryableError } from '#platform/errors.ts';
import type { DecodedRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { Batch, Sink, WriteResult } from '#platform/kafka/sink.ts';
import { requireErasureKey } from '#platform/postgres/erasures.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

type Queryable = Pick<PoolClient, 'query'>;
/** Pseudonym by event key (`unit_type:unit_id`). */
type Pseudonyms = ReadonlyMap<string, string>;

export type ErasedUnitLookup = {
  /** Pseudonyms of those units of the events that are erased. @throws FatalError when the key is not the one of this database. */
  find(connection: Queryable, records: readonly DecodedRecord<EventRecord>[]): Promise<Pseudonyms>;
};

const maxRememberedHashes = 50_000;
const none: Pseudonyms = new Map();

/** Costs one small query per call as long as nothing was ever erased. */
export function createErasedUnitLookup(key: string): ErasedUnitLookup {
  const fingerprint = erasureKeyFingerprint(key);
  const hashes = new Map<string, Buffer>();
  let isKeyChecked = false;

  const hashOf = ({ unit_type, unit_id }: EventRecord, eventKey: string): Buffer => {
    const known = hashes.get(eventKey);
    if (known !== undefined) return known;
    if (hashes.size >= maxRememberedHashes) hashes.clear();
    const made = hashUnit(key, unit_type, unit_id);
    hashes.set(eventKey, made);
    return made;
  };

  return {
    find: async (connection, records) => {
      if (!isKeyChecked) {
        await requireErasureKey(connection, fingerprint);
        isKeyChecked = true;
      }
      const any = await connection.query<{ any: boolean }>('SELECT EXISTS (SELECT FROM exp.erasures) AS any');
      if (any.rows[0]?.any !== true) return none;
      const hashByKey = new Map<string, Buffer>();
      for (const { value } of records) {
        const eventKey = eventKeyOf(value);
        if (!hashByKey.has(eventKey)) hashByKey.set(eventKey, hashOf(value, eventKey));
      }
      const found = await connection.query<{ unit_hash: Buffer; pseudonym: string }>(
        'SELECT unit_hash, pseudonym FROM exp.erasures WHERE unit_hash = ANY ($1::bytea[])',
        [[...hashByKey.values()]],
      );
      if (found.rows.length === 0) return none;
      const byHash = new Map(found.rows.map((row) => [row.unit_hash.toString('hex'), row.pseudonym]));
      const pseudonyms = new Map<string, string>();
      for (const [eventKey, unitHash] of hashByKey) {
        const pseudonym = byHash.get(unitHash.toString('hex'));
        if (pseudonym !== undefined) pseudonyms.set(eventKey, pseudonym);
      }
      return pseudonyms;
    },
  };
}

/** A dead letter of an erased unit keeps its position and its reason, and nothing of the record. */
function withoutContent({ record, rejection }: RejectedRecord): RejectedRecord {
  const { topic, partition, offset, timestampMs } = record;
  return { record: { topic, partition, offset, timestampMs, key: null, value: null, headers: {} }, rejection };
}

/**
 * A sink behind which no erased unit is known by its id.
 * - `pseudonymize`: the inner sink gets the events under their pseudonyms.
 * - `leave-out`: it does not get them; they count as written, because they have no effect.
 * `preparesContent`: what `prepare` makes holds content of the events, so it is made again when a unit was erased meanwhile.
 */
export function withErasure<P>(
  inner: Sink<EventRecord, P>,
  deps: { pool: Pool; erasedUnits: ErasedUnitLookup; mode: 'pseudonymize' | 'leave-out'; preparesContent?: boolean },
): Sink<EventRecord, P> {
  const preparesContent = deps.preparesContent ?? false;
  /** What the inner sink was given in place of a batch, until the batch is forgotten. */
  const given = new WeakMap<Batch<EventRecord>, Batch<EventRecord>>();
  const preparedWith = new WeakMap<Batch<EventRecord>, Pseudonyms>();

  const replace = (batch: Batch<EventRecord>, pseudonyms: Pseudonyms): Batch<EventRecord> => {
    if (pseudonyms.size === 0) return batch;
    const records = batch.records.flatMap((decoded) => {
      const pseudonym = pseudonyms.get(eventKeyOf(decoded.value));
      if (pseudonym === undefined) return [decoded];
      if (deps.mode === 'leave-out') return [];
      return [{ record: decoded.record, value: pseudonymizeEvent(decoded.value, pseudonym) }];
    });
    return { ...batch, records };
  };

  const write = async (tx: PoolClient, batch: Batch<EventRecord>, prepared: P): Promise<WriteResult> => {
    // Held until the commit, and taken before the look: an erasure waits for this transaction, or this one sees it.
    await tx.query('SELECT exp.share_erasure_lock()');
    const pseudonyms = await deps.erasedUnits.find(tx, batch.records);
    if (preparesContent && pseudonyms.size !== (preparedWith.get(batch) ?? none).size) {
      throw new RetryableError('a unit was erased while its events were prepared', { code: 'dependency-unavailable' });
    }
    const replaced = replace(batch, pseudonyms);
    given.set(batch, replaced);
    const result = await inner.write(tx, replaced, prepared);
    if (pseudonyms.size === 0) return result;
    const erasedOffsets = new Set(
      batch.records.filter(({ value }) => pseudonyms.has(eventKeyOf(value))).map(({ record }) => record.offset),
    );
    return {
      ...result,
      written: result.written + batch.records.length - replaced.records.length,
      rejected: result.rejected.map((entry) =>
        erasedOffsets.has(entry.record.offset) ? withoutContent(entry) : entry,
      ),
    };
  };

  const { prepare, committed, forget, pinnedEnd, startsNewBatch } = inner;
  return {
    write,
    ...(prepare === undefined
      ? {}
      : {
          prepare: async (batch) => {
            if (!preparesContent) return prepare(batch);
            const pseudonyms = await deps.erasedUnits.find(deps.pool, batch.records);
            preparedWith.set(batch, pseudonyms);
            return prepare(replace(batch, pseudonyms));
          },
        }),
    ...(committed === undefined ? {} : { committed: (batch) => committed(given.get(batch) ?? batch) }),
    ...(forget === undefined ? {} : { forget }),
    ...(pinnedEnd === undefined ? {} : { pinnedEnd }),
    ...(startsNewBatch === undefined ? {} : { startsNewBatch }),
  };
}
