// Transactions over a connection that breaks: the caller learns it as something to try again, and the process lives on.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classifyError } from '#platform/errors.ts';
import { createPostgresPool, inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { type FaultLink, openFaultLink } from '#tests/integrity/chaos/fault-link.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';

let database: TestDatabase;
let link: FaultLink;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query('CREATE TABLE kept (id int PRIMARY KEY)');
  link = await openFaultLink({ targetPort: Number(new URL(database.url).port) });
  const url = new URL(database.url);
  url.port = String(link.port);
  pool = createPostgresPool({
    url: url.toString(),
    poolSize: 2,
    applicationName: 'pool-test',
    statementTimeoutMs: 1_000,
  });
});
afterAll(async () => {
  await pool?.end();
  await link?.close();
  await database?.drop();
});

const stored = async (): Promise<number[]> =>
  (await database.pool.query<{ id: number }>('SELECT id FROM kept ORDER BY id')).rows.map(({ id }) => id);
const insert = (id: number): Promise<number | null> =>
  inTransaction(pool, async (tx) => (await tx.query('INSERT INTO kept VALUES ($1)', [id])).rowCount);

describe('a transaction', () => {
  it('whose answer to COMMIT is lost ends as one to try again, though it may have happened', async () => {
    const endWatch = link.watch(({ direction, bytes }) =>
      direction === 'answer' && bytes.includes('COMMIT\0') ? Promise.resolve('drop') : undefined,
    );
    const lost = await insert(1).catch((error: unknown) => error);
    endWatch();
    expect(classifyError(lost)).toBe('retryable');
    expect(await stored()).toEqual([1]);
    // Without anybody who listens to the broken connection, the process would have ended by now.
    expect(await insert(2)).toBe(1);
  });

  it('that loses its connection between two statements ends as one to try again, and nothing of it stays', async () => {
    const lost = await inTransaction(pool, async (tx) => {
      await tx.query('INSERT INTO kept VALUES (3)');
      link.become({ kind: 'cut' });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await tx.query('INSERT INTO kept VALUES (4)');
    }).catch((error: unknown) => error);
    link.become({ kind: 'open' });
    expect(classifyError(lost)).toBe('retryable');
    expect(await stored()).toEqual([1, 2]);
  });

  it('over a connection that is dead without being closed ends as one to try again, in bounded time', async () => {
    const lost = await inTransaction(pool, async (tx) => {
      await tx.query('INSERT INTO kept VALUES (6)');
      link.become({ kind: 'silent' });
      await tx.query('INSERT INTO kept VALUES (7)');
    }).catch((error: unknown) => error);
    link.become({ kind: 'open' });
    expect(classifyError(lost)).toBe('retryable');
    expect(await stored()).toEqual([1, 2]);
  });

  it('with a failed statement that somebody overlooked does not pass for committed', async () => {
    const overlooked = inTransaction(pool, async (tx) => {
      await tx.query('INSERT INTO kept VALUES (5)');
      await tx.query('INSERT INTO kept VALUES (5)').catch(() => undefined);
    });
    await expect(overlooked).rejects.toThrow('Postgres answered COMMIT with ROLLBACK');
    expect(await stored()).toEqual([1, 2]);
  });
});
