// Tests of the wire format: what is encoded is decoded, and no bytes whatsoever make the decoder throw.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAvroDecoder, createAvroEncoder } from '#platform/kafka/avro-codec.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { sampleEvent } from '#tests/support/events.ts';

const schema = loadRecordSchema('event');
const recordOf = (value: Buffer | null): KafkaRecord => ({
  topic: 't',
  partition: 0,
  offset: 0n,
  key: null,
  value,
  headers: {},
  timestampMs: 0,
});
const framed = (id: number, body: Uint8Array): Buffer => Buffer.concat([Buffer.from([0, 0, 0, 0, id]), body]);

const createDecoder = (schemas: Record<number, object>) =>
  createAvroDecoder<unknown>({
    registry: { findById: async (id) => (schemas[id] as never) ?? null },
    readerSchema: schema,
    parse: (value) => ({ ok: true, value }),
    maxValueBytes: 10_000,
  });

const decodeWith = async (schemas: Record<number, object>, value: Buffer | null) => {
  const decoder = createDecoder(schemas);
  await decoder.prepare([recordOf(value)]);
  return decoder.decode(recordOf(value));
};

describe('Avro codec', () => {
  it('decodes what it encoded', async () => {
    const event = sampleEvent({
      context: { a: 'text', b: 1.5, c: null, d: true },
      payload: '{"x":1}',
      unit_id: 'ünit 🎯',
    });
    const value = createAvroEncoder({ schema, schemaId: 7 })(event);
    expect(await decodeWith({ 7: schema as object }, value)).toEqual({ ok: true, value: event });
  });

  it('reads a writer schema with an added optional field and without a defaulted one', async () => {
    const base = schema as unknown as { fields: { name: string }[] };
    const writer = {
      ...base,
      fields: [
        ...base.fields.filter(({ name }) => name !== 'payload'),
        { name: 'extra', type: ['null', 'string'], default: null },
      ],
    };
    const { payload: _payload, ...rest } = sampleEvent();
    const value = createAvroEncoder({ schema: writer as never, schemaId: 8 })({ ...rest, extra: 'new' });
    expect(await decodeWith({ 8: writer }, value)).toEqual({ ok: true, value: { ...rest, payload: null } });
  });

  it.each<[string, Buffer | null, string]>([
    ['a null value', null, 'undecodable'],
    ['an empty value', Buffer.alloc(0), 'undecodable'],
    ['another magic byte', Buffer.from([1, 0, 0, 0, 7, 1, 2]), 'undecodable'],
    ['an unknown id', framed(99, Buffer.from([1])), 'unknown-schema'],
    ['a schema of something else', framed(9, Buffer.from([2, 65])), 'schema-invalid'],
    ['too many bytes', framed(7, Buffer.alloc(10_001)), 'too-large'],
    ['truncated bytes', createAvroEncoder({ schema, schemaId: 7 })(sampleEvent()).subarray(0, 60), 'undecodable'],
  ])('rejects %s', async (_name, value, reason) => {
    const result = await decodeWith(
      { 7: schema as object, 9: { type: 'record', name: 'Other', fields: [{ name: 'x', type: 'string' }] } },
      value,
    );
    expect(result.ok ? 'accepted' : result.rejection.reason).toBe(reason);
  });

  it('never throws, for any bytes', async () => {
    const decoder = createDecoder({ 7: schema as object });
    await decoder.prepare([recordOf(framed(7, Buffer.from([0])))]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, frame) => {
        decoder.decode(recordOf(frame ? framed(7, bytes) : Buffer.from(bytes)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('asks again for an id that was unknown, after a while', async () => {
    let now = 0;
    const schemas: Record<number, object> = {};
    const decoder = createAvroDecoder<unknown>({
      registry: { findById: async (id) => (schemas[id] as never) ?? null },
      readerSchema: schema,
      parse: (value) => ({ ok: true, value }),
      maxValueBytes: 10_000,
      now: () => now,
    });
    const record = recordOf(createAvroEncoder({ schema, schemaId: 7 })(sampleEvent()));
    await decoder.prepare([record]);
    expect(decoder.decode(record).ok).toBe(false);
    schemas[7] = schema as object;
    await decoder.prepare([record]);
    expect(decoder.decode(record).ok).toBe(false);
    now = 30_000;
    await decoder.prepare([record]);
    expect(decoder.decode(record).ok).toBe(true);
  });
});
