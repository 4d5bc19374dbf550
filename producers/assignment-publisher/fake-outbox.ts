// An outbox in memory with the same contract as the Postgres ones, and the lock server that relays of several processes share.
import type { Pool } from '#platform/postgres/pool.ts';
import type { Outbox } from './outbox.ts';

type FakeRow = { id: bigint; key: string; published: boolean };

/** What several relays share: rows, the advisory lock, the epoch, and one ordered log of what happened. */
export function createFakeOutboxServer() {
  const rows: FakeRow[] = [];
  const log: string[] = [];
  const state = { epoch: 0n, lockedBy: undefined as object | undefined, away: false };
  let nextId = 1n;
  const requirePresence = (): void => {
    if (state.away) throw Object.assign(new Error('Connection terminated unexpectedly'), { code: '57P01' });
  };
  const add = (key: string): void => {
    rows.push({ id: nextId, key, published: false });
    nextId += 1n;
  };

  const createOutbox = (): Outbox => ({
    relay: 'assignments',
    lockId: 1,
    topic: 'topic',
    readBatch: async (_connection, limit) => {
      requirePresence();
      const waiting = rows.filter(({ published }) => !published).slice(0, limit);
      if (waiting.length > 0) log.push(`read ${waiting.map(({ id }) => id).join()}`);
      return {
        ids: waiting.map(({ id }) => id),
        records: waiting.map(({ id, key }) => ({ key, value: Buffer.from(String(id)) })),
      };
    },
    markPublished: async (_connection, ids, epoch) => {
      requirePresence();
      if (epoch !== state.epoch) {
        log.push('fenced');
        return false;
      }
      for (const row of rows) if (ids.includes(row.id)) row.published = true;
      log.push(`marked ${ids.join()}`);
      return true;
    },
    repeat: async (_connection, ids) => {
      requirePresence();
      log.push(`repeated ${ids.join()}`);
      for (const key of new Set(rows.filter(({ id }) => ids.includes(id)).map((row) => row.key))) add(key);
    },
    purge: async () => 0,
    depth: async () => ({ rows: rows.filter(({ published }) => !published).length, oldestAgeSeconds: 0 }),
  });

  /** The connections of one process: enough of a pool for the relay's lock and epoch. */
  const createPool = (): Pool => {
    const connect = async () => {
      requirePresence();
      const session = {};
      const unlock = (): void => {
        if (state.lockedBy === session) state.lockedBy = undefined;
      };
      return {
        query: async (text: string) => {
          requirePresence();
          if (text.includes('pg_try_advisory_lock')) {
            const taken = state.lockedBy === undefined;
            if (taken) state.lockedBy = session;
            return { rows: [{ taken }], rowCount: 1 };
          }
          if (text.includes('pg_advisory_unlock')) unlock();
          if (text.includes('epoch = epoch + 1')) {
            state.epoch += 1n;
            return { rows: [{ epoch: state.epoch }], rowCount: 1 };
          }
          return { rows: [], rowCount: 0 };
        },
        on: () => undefined,
        off: () => undefined,
        release: (broken?: Error) => {
          if (broken !== undefined) unlock();
        },
      };
    };
    return { connect } as unknown as Pool;
  };

  return { rows, log, state, add, createOutbox, createPool };
}
