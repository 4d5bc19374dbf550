// Writes rows into one Parquet file with DuckDB; equal rows in equal order give equal bytes.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance, DuckDBTimestampTZValue } from '@duckdb/node-api';

export type ParquetColumn = { readonly name: string; readonly type: 'text' | 'timestamp' };
/** Text, or an instant in microseconds since 1970. */
export type ParquetValue = string | bigint | null;

export type ParquetTable = AsyncDisposable & {
  /** Adds a row with one value per column, in column order. */
  append(row: readonly ParquetValue[]): void;
  /** The whole file. Nothing can be added afterwards. */
  finish(): Promise<Uint8Array>;
};

const rowsPerGroup = 8_192;
const sqlTypes = { text: 'VARCHAR', timestamp: 'TIMESTAMPTZ' } as const;
const quoteName = (name: string) => `"${name.replaceAll('"', '""')}"`;
const quoteText = (text: string) => `'${text.replaceAll("'", "''")}'`;

/**
 * Collects rows outside the JavaScript heap and compresses them with ZSTD. `metadata` is stored in the file. The bytes also
 * depend on the version of DuckDB, which names itself in the file.
 */
export async function createParquetTable(options: {
  columns: readonly ParquetColumn[];
  metadata: Readonly<Record<string, string>>;
}): Promise<ParquetTable> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'parquet-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  // One thread: with more, rows would meet in row groups in an order of their own.
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: '512MB',
    temp_directory: join(folder, 'spill'),
  });
  started.defer(() => instance.closeSync());
  const connection = await instance.connect();
  started.defer(() => connection.closeSync());
  const definitions = options.columns.map(({ name, type }) => `${quoteName(name)} ${sqlTypes[type]}`);
  await connection.run(`CREATE TABLE rows (${definitions.join(', ')})`);
  const appender = await connection.createAppender('rows');
  const resources = started.move();
  let finished: Promise<Uint8Array> | undefined;

  return {
    append: (row) => {
      if (row.length !== options.columns.length) throw new Error(`a row has ${row.length} values`);
      for (const value of row) {
        if (value === null) appender.appendNull();
        else if (typeof value === 'string') appender.appendVarchar(value);
        else appender.appendTimestampTZ(new DuckDBTimestampTZValue(value));
      }
      appender.endRow();
    },
    finish: () => {
      finished = writeFile();
      return finished;
    },
    [Symbol.asyncDispose]: async () => {
      // Closing the database under a running COPY would end the process.
      await finished?.catch(() => {});
      await resources.disposeAsync();
    },
  };

  async function writeFile(): Promise<Uint8Array> {
    appender.closeSync();
    const path = join(folder, 'rows.parquet');
    const metadata = Object.entries(options.metadata).map(([key, value]) => `${quoteName(key)}: ${quoteText(value)}`);
    await connection.run(
      `COPY rows TO ${quoteText(path)}
         (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${rowsPerGroup}, KV_METADATA {${metadata.join(', ')}})`,
    );
    return readFile(path);
  }
}
