// Archive rows as the bytes of a Parquet file: the same rows always give the same bytes. See docs/adr/0006-parquet-writer.md.
import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { DOUBLE, DuckDBDataChunk, DuckDBInstance, type DuckDBType, INTEGER, VARCHAR } from '@duckdb/node-api';
import parquet from 'parquetjs-lite';
import { archiveColumns } from '#domain/archive/archive-layout.ts';
import { windowStartOf } from '#domain/windows/tumbling-window.ts';
import type { ArchiveRow } from './transform.ts';

export type ParquetWriter = {
  /** The file of `count` rows, at least one. They are taken a few at a time, so that no more of them need to be there at once. */
  write(rows: Iterable<ArchiveRow>, count: number): Promise<Buffer>;
  close(): void;
};

/** Up to this many rows parquetjs-lite writes, without a temporary file; above it DuckDB is several times faster (the ADR has the numbers). */
export const smallSegmentRows = 200;

const chunkRows = 2_048;
const gzip = { compression: 'GZIP' } as const;

const smallSchema = new parquet.ParquetSchema({
  event_date: { type: 'DATE' },
  event_id: { type: 'UTF8', ...gzip },
  event_type: { type: 'UTF8', ...gzip },
  unit_type: { type: 'UTF8', ...gzip },
  unit_id: { type: 'UTF8', ...gzip },
  experiments: { type: 'UTF8', ...gzip },
  context: { type: 'UTF8', ...gzip },
  metrics: { type: 'UTF8', ...gzip },
  payload: { type: 'UTF8', optional: true, ...gzip },
  event_time: { type: 'TIMESTAMP_MILLIS' },
  ingest_time: { type: 'TIMESTAMP_MILLIS' },
  producer: { type: 'UTF8', ...gzip },
  kafka_partition: { type: 'INT32' },
  kafka_offset: { type: 'INT64' },
  append_time: { type: 'TIMESTAMP_MILLIS' },
});

async function writeSmall(rows: Iterable<ArchiveRow>): Promise<Buffer> {
  const output = new PassThrough();
  const chunks: Buffer[] = [];
  output.on('data', (chunk: Buffer) => chunks.push(chunk));
  const writer = await parquet.ParquetWriter.openStream(smallSchema, output, {
    rowGroupSize: smallSegmentRows,
    useDataPageV2: false,
  });
  for (const row of rows) {
    await writer.appendRow({
      ...row,
      event_date: new Date(windowStartOf(row.event_time, 'day')),
      event_time: new Date(row.event_time),
      ingest_time: new Date(row.ingest_time),
      append_time: new Date(row.append_time),
    });
  }
  await writer.close();
  return Buffer.concat(chunks);
}

/** How a column is handed to DuckDB, and what makes its value of that. Times as numbers: an object and a BigInt each cost more. */
const text = { type: VARCHAR, sql: (name: string) => name };
const time = { type: DOUBLE, sql: (name: string) => `epoch_ms(${name}::BIGINT)` };
const columns = {
  event_id: text,
  event_type: text,
  unit_type: text,
  unit_id: text,
  experiments: text,
  context: text,
  metrics: text,
  payload: text,
  event_time: time,
  ingest_time: time,
  producer: text,
  kafka_partition: { type: INTEGER, sql: (name: string) => name },
  kafka_offset: { type: DOUBLE, sql: (name: string) => `${name}::BIGINT` },
  append_time: time,
} as const satisfies Record<keyof ArchiveRow, { type: DuckDBType; sql: (name: string) => string }>;
const columnNames = Object.keys(columns) as (keyof ArchiveRow)[];
const columnTypes = columnNames.map((name) => columns[name].type);
const tableSql = `CREATE TEMP TABLE segment (${columnNames.map((name) => `${name} ${columns[name].type}`).join(', ')})`;
const selected = archiveColumns
  .map((name) => `${name === 'event_date' ? 'epoch_ms(event_time::BIGINT)::DATE' : columns[name].sql(name)} AS ${name}`)
  .join(', ');

function toChunk(rows: readonly ArchiveRow[]): DuckDBDataChunk {
  const chunk = DuckDBDataChunk.create(columnTypes, rows.length);
  for (const [index, name] of columnNames.entries())
    chunk.setColumnValues(
      index,
      rows.map((row) => row[name]),
    );
  return chunk;
}

async function writeLarge(instance: DuckDBInstance, rows: Iterable<ArchiveRow>): Promise<Buffer> {
  const path = join(tmpdir(), `trialstream-segment-${randomUUID()}.parquet`);
  const connection = await instance.connect();
  try {
    await connection.run(tableSql);
    const appender = await connection.createAppender('segment');
    let waiting: ArchiveRow[] = [];
    for (const row of rows) {
      if (waiting.push(row) < chunkRows) continue;
      appender.appendDataChunk(toChunk(waiting));
      waiting = [];
    }
    if (waiting.length > 0) appender.appendDataChunk(toChunk(waiting));
    appender.closeSync();
    await connection.run(
      `COPY (SELECT ${selected} FROM segment) TO '${path.replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`,
    );
    return await readFile(path);
  } finally {
    connection.closeSync();
    await rm(path, { force: true });
  }
}

export async function createParquetWriter(): Promise<ParquetWriter> {
  // One thread: the order of rows and so the bytes depend on nothing else.
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: '128MB',
    temp_directory: tmpdir(),
  });
  return {
    write: (rows, count) => (count <= smallSegmentRows ? writeSmall(rows) : writeLarge(instance, rows)),
    close: () => instance.closeSync(),
  };
}
