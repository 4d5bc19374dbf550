// Tests of the Parquet writer: the file holds the rows in their order, and equal rows are equal bytes.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { createParquetTable, type ParquetValue } from './parquet-table.ts';

const columns = [
  { name: 'id', type: 'text' },
  { name: 'at "quoted"', type: 'timestamp' },
] as const;
const rows: ParquetValue[][] = Array.from({ length: 20_000 }, (_, index) => [
  index % 7 === 0 ? null : `row ${index} 'ünï' 🎯`,
  index % 5 === 0 ? null : BigInt(index) * 1_000_001n,
]);

async function fileOf(content: readonly ParquetValue[][]): Promise<Uint8Array> {
  await using table = await createParquetTable({ columns, metadata: { owner: "it's" } });
  for (const row of content) table.append(row);
  return table.finish();
}

test('a file holds every row in the order of writing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'parquet-test-'));
  try {
    const path = join(folder, 'rows.parquet');
    await writeFile(path, await fileOf(rows));
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    const connection = await instance.connect();
    const read = await connection.runAndReadAll(`SELECT id, epoch_us("at ""quoted""") FROM read_parquet('${path}')`);
    expect(read.getRows()).toEqual(rows);
    const metadata = await connection.runAndReadAll(
      `SELECT decode(key), decode(value) FROM parquet_kv_metadata('${path}')`,
    );
    expect(metadata.getRows()).toEqual([['owner', "it's"]]);
    connection.closeSync();
    instance.closeSync();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('equal rows are equal bytes, other rows are not', async () => {
  const some = rows.slice(0, 100);
  const file = Buffer.from(await fileOf(some));
  expect(file.equals(await fileOf(some))).toBe(true);
  expect(file.equals(await fileOf(some.toReversed()))).toBe(false);
});

test('a row of another width is refused', async () => {
  await expect(fileOf([['only one']])).rejects.toThrow('1 values');
});
