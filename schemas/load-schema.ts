// Reads a record schema from its .avsc file.
import { readFileSync } from 'node:fs';
import type avro from 'avsc';
import { type RecordSchemaName, recordSchemas } from '#schemas/topics.ts';

/** The parsed Avro schema of a catalogue entry, as registered at deploy time. */
export function loadRecordSchema(name: RecordSchemaName): avro.Schema {
  return JSON.parse(readFileSync(new URL(recordSchemas[name], import.meta.url), 'utf8'));
}
