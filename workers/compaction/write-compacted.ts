// Makes one Parquet file of some: sorted by event time, one row per identity, erased units under their pseudonyms.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { archiveColumns } from '#domain/archive/archive-layout.ts';
import { type ArchivedRange, archiveMetadataKeys, formatRanges, joinRanges } from '#domain/archive/archived-ranges.ts';
import type { ErasedUnits } from '#domain/archive/erased-units.ts';
import { FatalError } from '#platform/errors.ts';
import { quoteText, type ScratchDatabase } from '#platform/parquet/scratch-database.ts';

export type CompactedFile = {
  readonly body: Uint8Array;
  readonly sha256: string;
  readonly rowCount: number;
  readonly eventTime: { readonly min: Date; readonly max: Date };
  readonly appendTime: { readonly min: Date; readonly max: Date };
};

/** Rows per row group: what a reader of a short time span has to read at least. */
const rowsPerGroup = 65_536;

export const listFiles = (paths: readonly string[]): string => `[${paths.map(quoteText).join(', ')}]`;

/**
 * Fills the temporary table `erased` with the erased units that are in the files. Their number.
 */
export async function findErasedUnits(
  connection: DuckDBConnection,
  paths: readonly string[],
  erasedUnits: ErasedUnits,
): Promise<number> {
  await connection.run('CREATE OR REPLACE TEMP TABLE erased (unit_type VARCHAR, unit_id VARCHAR, pseudonym VARCHAR)');
  if (erasedUnits.isEmpty) return 0;
  const units = await connection.stream(`SELECT DISTINCT unit_type, unit_id FROM read_parquet(${listFiles(paths)})`);
  const found: [string, string, string][] = [];
  for await (const rows of units.yieldRows()) {
    for (const [unitType, unitId] of rows as [string, string][]) {
      const pseudonym = erasedUnits.pseudonymOf({ unit_type: unitType, unit_id: unitId });
      if (pseudonym !== undefined) found.push([unitType, unitId, pseudonym]);
    }
  }
  if (found.length === 0) return 0;
  const appender = await connection.createAppender('erased');
  for (const entry of found) {
    for (const text of entry) appender.appendVarchar(text);
    appender.endRow();
  }
  appender.closeSync();
  return found.length;
}

/** As domain/erasure/pseudonymize-event.ts does it for events. */
const replacements: Readonly<Record<string, string>> = {
  unit_id: 'coalesce(x.pseudonym, e.unit_id)',
  context: `CASE WHEN x.pseudonym IS NULL THEN e.context ELSE '{}' END`,
  payload: 'CASE WHEN x.pseudonym IS NULL THEN e.payload END',
};
const selectedColumns = archiveColumns
  .map((column) => `${replacements[column] ?? `e.${column}`} AS ${column}`)
  .join(', ');

/** Writes the file from local copies of its inputs. Call `findErasedUnits` for them before. */
export async function writeCompactedFile(
  { connection, folder }: ScratchDatabase,
  input: { paths: readonly string[]; topic: string; ranges: readonly ArchivedRange[]; writtenAt: Date },
): Promise<CompactedFile> {
  const path = join(folder, 'compacted.parquet');
  const metadata = [
    [archiveMetadataKeys.topic, input.topic],
    [archiveMetadataKeys.ranges, formatRanges(joinRanges(input.ranges))],
    [archiveMetadataKeys.writtenAt, input.writtenAt.toISOString()],
  ].map(([key, value]) => `${quoteText(key!)}: ${quoteText(value!)}`);
  // Whole rows travel once, in the last sort; which of them stay is decided on four narrow columns.
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE kept AS
     SELECT kafka_partition, kafka_offset FROM read_parquet(${listFiles(input.paths)})
     QUALIFY row_number() OVER (PARTITION BY event_date, event_id ORDER BY kafka_partition, kafka_offset) = 1`,
  );
  await connection.run(
    `COPY (
       SELECT ${selectedColumns}
       FROM read_parquet(${listFiles(input.paths)}) e
       SEMI JOIN kept k USING (kafka_partition, kafka_offset)
       LEFT JOIN erased x ON x.unit_type = e.unit_type AND x.unit_id = e.unit_id
       ORDER BY e.event_time, e.kafka_partition, e.kafka_offset
     ) TO ${quoteText(path)}
       (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${rowsPerGroup}, KV_METADATA {${metadata.join(', ')}})`,
  );
  const facts = await connection.runAndReadAll(
    `SELECT count(*)::DOUBLE, (SELECT count(*) FROM kept)::DOUBLE, ${[
      'min(event_time)',
      'max(event_time)',
      'min(append_time)',
      'max(append_time)',
    ]
      .map((time) => `epoch_ms(${time})::DOUBLE`)
      .join(', ')} FROM read_parquet(${quoteText(path)})`,
  );
  const [rowCount, keptCount, ...times] = facts.getRowsJS()[0] as number[];
  if (rowCount !== keptCount) {
    throw new FatalError(`${rowCount! - keptCount!} records of ${input.topic} are in more than one object`, {
      code: 'unexpected',
    });
  }
  const [firstEvent, lastEvent, firstAppend, lastAppend] = times.map((time) => new Date(time));
  const body = await readFile(path);
  return {
    body,
    sha256: createHash('sha256').update(body).digest('hex'),
    rowCount: rowCount!,
    eventTime: { min: firstEvent!, max: lastEvent! },
    appendTime: { min: firstAppend!, max: lastAppend! },
  };
}
