// Archive rows as the bytes of a Parquet file: the same rows always give the same bytes. See docs/adr/0006-parquet-writer.md.
import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import {
  BIGINT,
  DATE,
  DuckDBDataChunk,
  DuckDBDateValue,
  DuckDBInstance,
  DuckDBTimestampValue,
  type DuckDBValue,
  INTEGER,
  TIMESTAMP,
  VARCHAR,
} from '@duckdb/node-api';
import parquet from 'parquetjs-lite';
import { archiveColumns } from '#domain/archive/archive-layout.ts';
import type { ArchiveRow } from './transform.ts';

export type ParquetWriter = {
  /** The file of at least one row. */
  write(rows: readonly ArchiveRow[]): Promise<Buffer>;
  close(): void;
};

/** Up to this many rows parquetjs-lite writes, without a temporary file; above it DuckDB is several times faster (the ADR has the numbers). */
export const smallSegmentRows = 200;

const dayMs = 86_400_000;
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

async function writeSmall(rows: readonly ArchiveRow[]): Promise<Buffer> {
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
      event_date: new Date(row.event_date),
      event_time: new Date(row.event_time),
      ingest_time: new Date(row.ingest_time),
      append_time: new Date(row.append_time),
      kafka_offset: Number(row.kafka_offset),
    });
  }
  await writer.close();
  return Buffer.concat(chunks);
}

const typeOfColumn = {
  event_date: DATE,
  event_id: VARCHAR,
  event_type: VARCHAR,
  unit_type: VARCHAR,
  unit_id: VARCHAR,
  experiments: VARCHAR,
  context: VARCHAR,
  metrics: VARCHAR,
  payload: VARCHAR,
  event_time: TIMESTAMP,
  ingest_time: TIMESTAMP,
  producer: VARCHAR,
  kafka_partition: INTEGER,
  kafka_offset: BIGINT,
  append_time: TIMESTAMP,
} as const;
const columnTypes = archiveColumns.map((column) => typeOfColumn[column]);
const tableSql = `CREATE TEMP TABLE segment (${archiveColumns.map((column) => `${column} ${typeOfColumn[column]}`).join(', ')})`;

const toTimestamp = (timeMs: number): DuckDBValue => new DuckDBTimestampValue(BigInt(timeMs) * 1_000n);

function toValues(row: ArchiveRow): DuckDBValue[] {
  return [
    new DuckDBDateValue(Math.floor(row.event_time / dayMs)),
    row.event_id,
    row.event_type,
    row.unit_type,
    row.unit_id,
    row.experiments,
    row.context,
    row.metrics,
    row.payload,
    toTimestamp(row.event_time),
    toTimestamp(row.ingest_time),
    row.producer,
    row.kafka_partition,
    row.kafka_offset,
    toTimestamp(row.append_time),
  ];
}

async function writeLarge(instance: DuckDBInstance, rows: readonly ArchiveRow[]): Promise<Buffer> {
  const path = join(tmpdir(), `trialstream-segment-${randomUUID()}.parquet`);
  const connection = await instance.connect();
  try {
    await connection.run(tableSql);
    const appender = await connection.createAppender('segment');
    for (let start = 0; start < rows.length; start += chunkRows) {
      const chunk = DuckDBDataChunk.create(columnTypes);
      chunk.setRows(rows.slice(start, start + chunkRows).map(toValues));
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
    await connection.run(`COPY segment TO '${path.replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`);
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
    write: (rows) => (rows.length <= smallSegmentRows ? writeSmall(rows) : writeLarge(instance, rows)),
    close: () => instance.closeSync(),
  };
}
