// Tests that the global setup hands a stack to integration tests that they can use.
import pg from 'pg';
import { expect, test } from 'vitest';
import { stackEndpoints } from './stack.ts';

test('gives the tests a Postgres they can query as its superuser', async () => {
  const client = new pg.Client({ connectionString: stackEndpoints().postgres.superuserUrl });
  await client.connect();
  try {
    const { rows } = await client.query(
      "SELECT current_setting('TimeZone') AS zone, current_setting('fsync') AS fsync",
    );
    expect(rows).toEqual([{ zone: 'UTC', fsync: 'on' }]);
  } finally {
    await client.end();
  }
});
