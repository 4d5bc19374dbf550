// Tests of the history: every released version has a sample that today's schema decodes, and a broken change is refused.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import avro from 'avsc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { recordSchemas, topics } from '#schemas/topics.ts';
import { findHistoryProblems, listVersions, readSample, releaseSchemas } from './schema-history.ts';

const folder = import.meta.dirname;
const catalogue = Object.values(topics);
const schemasFolder = join(folder, '..');
const typeOf = (schema: avro.Schema): avro.Type => avro.Type.forSchema(schema, { registry: {} });
const released = catalogue.flatMap((topic) =>
  listVersions(folder, topic.name).map(({ version, schema }) => ({ topic, version, schema })),
);

describe('released versions', () => {
  it.each(released)(
    'a sample of $topic.name version $version has the bytes and the value that it always had',
    (entry) => {
      const type = typeOf(entry.schema);
      const { hex, value } = readSample(folder, entry.topic.name, entry.version);
      const record = type.fromBuffer(Buffer.from(hex, 'hex'));
      expect(JSON.parse(type.toString(record))).toEqual(value);
      expect(type.toBuffer(type.fromString(JSON.stringify(value))).toString('hex')).toBe(hex);
    },
  );

  it.each(released)(
    'a sample of $topic.name version $version is decoded by the current schema, field by field',
    (entry) => {
      const bytes = Buffer.from(readSample(folder, entry.topic.name, entry.version).hex, 'hex');
      const writer = typeOf(entry.schema);
      const reader = typeOf(loadRecordSchema(entry.topic.valueSchema));
      const decoded = reader.fromBuffer(bytes, reader.createResolver(writer)) as Record<string, unknown>;
      const written = writer.fromBuffer(bytes) as Record<string, unknown>;
      const kept = Object.keys(decoded).filter((name) => name in written);
      expect(kept.length).toBeGreaterThan(0);
      for (const name of kept) expect(decoded[name]).toEqual(written[name]);
    },
  );

  it('has at least one version of every topic, and no folder of a topic that does not exist', () => {
    expect(findHistoryProblems({ catalogue, schemas: schemasFolder, folder })).toEqual([]);
    expect(new Set(released.map(({ topic }) => topic.name))).toEqual(new Set(catalogue.map(({ name }) => name)));
  });
});

describe('the check on a copy of the schemas', () => {
  let copy: string;
  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'trialstream-schemas-'));
    cpSync(schemasFolder, copy, { recursive: true });
  });
  afterEach(() => rmSync(copy, { recursive: true, force: true }));

  const check = (): string[] => findHistoryProblems({ catalogue, schemas: copy, folder: join(copy, 'history') });
  const editFields = (file: string, edit: (fields: { name: string; type: unknown }[]) => unknown[]): void => {
    const path = join(copy, file);
    const schema = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...schema, fields: edit(schema.fields) }));
  };

  it('refuses an event field without a default, by topic and field', () => {
    editFields(recordSchemas.event, (fields) => [...fields, { name: 'session_id', type: 'string' }]);
    expect(check()).toEqual([
      'exp.events.v1: event.avsc is not BACKWARD_TRANSITIVE: it cannot read records of version 1: field "session_id" is not in those records and has no default',
    ]);
  });

  it('lets an event field go but not a field of a compacted topic', () => {
    editFields(recordSchemas.event, (fields) => fields.filter(({ name }) => name !== 'producer'));
    expect(check()).toEqual([]);
    editFields(recordSchemas.assignment, (fields) => fields.filter(({ name }) => name !== 'source'));
    expect(check()).toEqual([
      'exp.assignments.v1: assignment.avsc is not FULL_TRANSITIVE: readers of version 1 cannot read its records: field "source" is not in those records and has no default',
    ]);
  });

  it('releases a compatible change as the next version, which then needs a sample', () => {
    editFields(recordSchemas.event, (fields) => [...fields, { name: 'session_id', type: 'string', default: '' }]);
    expect(check()).toEqual([]);
    const history = join(copy, 'history');
    const written = releaseSchemas({ catalogue, schemas: copy, folder: history });
    expect(written).toEqual([join(history, 'exp.events.v1', '2.avsc')]);
    expect(check()).toEqual(['exp.events.v1: version 2 has no sample record']);
    expect(releaseSchemas({ catalogue, schemas: copy, folder: history })).toEqual([]);
  });

  it('finds a released version that was removed', () => {
    rmSync(join(copy, 'history', 'exp.events.v1', '1.avsc'));
    writeFileSync(join(copy, 'history', 'exp.events.v1', '2.avsc'), '{}');
    expect(check).toThrow('exp.events.v1: version 1 is missing');
  });
});
