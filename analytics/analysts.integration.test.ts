// What analysts do with the workloads' data: the example queries, the dashboards, the views behind them, and the limits of their role.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Pool } from '#platform/postgres/pool.ts';
import type { TestSystem } from '#tests/support/test-system.ts';
import { startWithWorkloadData } from '#tests/support/workload-data.ts';
import { testCards } from './metabase/cards.contract.ts';
import { testViews } from './views.contract.ts';

let run: TestSystem;
let analyst: Pool;

beforeAll(async () => {
  run = await startWithWorkloadData();
  await run.system.stop();
  analyst = run.database.poolAs('analyst');
}, 300_000);
afterAll(async () => {
  await run?.stop();
});

/** Questions of the file with their queries: a comment that ends with a question mark, and what follows up to the semicolon. */
const examples = [
  ...readFileSync(new URL('example-queries.sql', import.meta.url), 'utf8').matchAll(/^-- (.+\?)\n([^;]+);$/gm),
].map(([, question, sql]) => ({ question: question!, sql: sql! }));

describe('the example queries', () => {
  test('are at least fifteen, and the file has nothing else', () => {
    expect(examples.length).toBeGreaterThanOrEqual(15);
    const text = readFileSync(new URL('example-queries.sql', import.meta.url), 'utf8');
    expect(text.split('\n').filter((line) => line.endsWith(';'))).toHaveLength(examples.length);
  });

  test.each(examples)('$question', async ({ sql }) => {
    const { rows, fields } = await analyst.query(sql);
    expect(rows.length).toBeGreaterThan(0);
    // A column that is always empty answers nothing; only these have nothing to say about these workloads.
    const maySayNothing = ['guardrail', 'not_computable'];
    const empty = fields.filter(({ name }) => rows.every((row) => (row as Record<string, unknown>)[name] === null));
    expect(empty.map(({ name }) => name).filter((name) => !maySayNothing.includes(name))).toEqual([]);
  });
});

testViews(() => analyst);
testCards(() => analyst);

describe('the role analyst', () => {
  const relations = (where: string) =>
    run.database.pool.query<{ name: string }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
         AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%' AND ${where} ORDER BY 1`,
    );

  test('reads nothing outside exp', async () => {
    const outside = await relations("n.nspname <> 'exp'");
    expect(outside.rows.map(({ name }) => name)).toContain('public.schema_migrations');
    for (const { name } of outside.rows)
      await expect(analyst.query(`SELECT FROM ${name} LIMIT 1`), name).rejects.toThrow('permission denied');
  });

  test('reads no API keys and no erased units', async () => {
    for (const name of ['exp.api_keys', 'exp.erasures', 'exp.erasure_key'])
      await expect(analyst.query(`SELECT FROM ${name} LIMIT 1`), name).rejects.toThrow('permission denied');
  });

  test('writes to no table of exp, creates nothing, and runs nothing with the rights of others', async () => {
    const tables = await relations("n.nspname = 'exp' AND c.relkind IN ('r', 'p')");
    expect(tables.rows.length).toBeGreaterThan(20);
    for (const { name } of tables.rows) {
      for (const statement of [`DELETE FROM ${name}`, `TRUNCATE ${name}`, `INSERT INTO ${name} DEFAULT VALUES`])
        await expect(analyst.query(statement), statement).rejects.toThrow('permission denied');
    }
    for (const statement of ['CREATE TABLE exp.mine ()', 'CREATE TABLE public.mine ()', 'CREATE SCHEMA mine'])
      await expect(analyst.query(statement), statement).rejects.toThrow('permission denied');
    const { rows } = await run.database.pool.query<{ name: string }>(
      `SELECT oid::regprocedure::text AS name FROM pg_proc
       WHERE pronamespace = 'exp'::regnamespace AND prosecdef AND has_function_privilege('analyst', oid, 'EXECUTE')`,
    );
    expect(rows).toEqual([]);
  });
});
