// The committed description of the database is what the migrations make, and makes the same database again.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { readDatabaseCatalog } from './database-catalog.ts';
import { generateDatabaseDocuments, toSchemaSql } from './database-documents.ts';
import { findStale } from './generate.ts';
import { withEmptyDatabase } from './migrated-database.ts';

const root = join(import.meta.dirname, '..', '..');
/** Postgres writes a nested condition with fewer parentheses when it reads its own text back. */
const withoutParentheses = (sql: string): string => sql.replaceAll(/[()]/g, '');
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

describe('the committed schema', () => {
  it('is what the migrations make: run "npm run generate:database" when this fails', async () => {
    const files = generateDatabaseDocuments(await readDatabaseCatalog(database.pool));
    expect(files.map(({ path }) => path)).toEqual(['migrations/schema.sql', 'infra/postgres-schema-overview.sql']);
    expect(findStale(root, files)).toEqual([]);
  });

  it('makes the same schema again in an empty database', async () => {
    const committed = readFileSync(join(root, 'migrations', 'schema.sql'), 'utf8');
    const again = await withEmptyDatabase(stackEndpoints().postgres.superuserUrl, async (pool) => {
      await pool.query(committed);
      return toSchemaSql(await readDatabaseCatalog(pool));
    });
    expect(withoutParentheses(again)).toBe(withoutParentheses(committed));
  });

  it('shows a change of a column, a right or an index', async () => {
    const before = toSchemaSql(await readDatabaseCatalog(database.pool));
    const changes = [
      'ALTER TABLE exp.variants ADD COLUMN note text',
      'GRANT UPDATE (name) ON exp.variants TO analyst',
      'DROP INDEX exp.assignments_by_unit',
      'REVOKE EXECUTE ON FUNCTION exp.ensure_event_day(date) FROM operator',
    ];
    let last = before;
    for (const change of changes) {
      await database.pool.query(change);
      const now = toSchemaSql(await readDatabaseCatalog(database.pool));
      expect(now, change).not.toBe(last);
      last = now;
    }
  });

  it('is not written when the schema holds something that the dump would leave out', async () => {
    await database.pool.query("CREATE TYPE exp.mood AS ENUM ('good')");
    await expect(readDatabaseCatalog(database.pool)).rejects.toThrow('type mood');
  });
});
