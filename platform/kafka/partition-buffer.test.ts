// Tests of the partition buffer: whatever arrives in whatever pieces leaves once, in order, in contiguous batches.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPartitionBuffer } from '#platform/kafka/partition-buffer.ts';
import type { DecodeResult, KafkaRecord } from '#platform/kafka/record.ts';
import type { Batch, FlushPolicy } from '#platform/kafka/sink.ts';

const policy: FlushPolicy = { maxRecords: 3, maxBytes: 1_000, maxAgeMs: 100 };

const entry = (offset: number, options: { bytes?: number; hour?: number; bad?: boolean } = {}): KafkaRecord => ({
  topic: 't',
  partition: 0,
  offset: BigInt(offset),
  key: null,
  value: Buffer.alloc(options.bytes ?? 10, options.bad === true ? 'x' : 0),
  headers: {},
  timestampMs: (options.hour ?? 0) * 3_600_000,
});

const decode = (record: KafkaRecord): DecodeResult<number> =>
  record.value?.[0] !== 'x'.charCodeAt(0)
    ? { ok: true, value: Number(record.offset) }
    : { ok: false, rejection: { stage: 'decode', reason: 'undecodable', error: 'x' } };

const make = (options: { start?: bigint; pinnedEnd?: bigint | null; byHour?: boolean; decode?: typeof decode } = {}) =>
  createPartitionBuffer<number>({
    topic: 't',
    partition: 0,
    start: options.start ?? 0n,
    pinnedEnd: options.pinnedEnd ?? null,
    decode: options.decode ?? decode,
    startsNewBatch: options.byHour === true ? (a, b) => a.timestampMs !== b.timestampMs : undefined,
  });

const offsets = (batch: Batch<number> | undefined): number[] | undefined => batch?.records.map(({ value }) => value);

describe('partition buffer', () => {
  it('waits for count, bytes or age', () => {
    const buffer = make();
    buffer.append([entry(0), entry(1)], 2n, 1_000);
    expect(buffer.take(policy, 1_099)).toBeUndefined();
    expect(buffer.dueAtMs(policy)).toBe(1_100);
    expect(offsets(buffer.take(policy, 1_100))).toEqual([0, 1]);
    buffer.append([entry(2), entry(3), entry(4), entry(5)], 6n, 1_100);
    expect(offsets(buffer.take(policy, 1_100))).toEqual([2, 3, 4]);
    buffer.append([entry(6, { bytes: 995 })], 7n, 1_100);
    expect(offsets(buffer.take(policy, 1_100))).toEqual([5]);
    expect(buffer.take(policy, 1_101)).toBeUndefined();
    expect(buffer.byteCount).toBe(995);
  });

  it('decodes a record when its batch is taken, once', () => {
    const decoded: bigint[] = [];
    const buffer = make({
      decode: (record) => {
        decoded.push(record.offset);
        return decode(record);
      },
    });
    buffer.append([entry(0), entry(1), entry(2), entry(3)], 4n, 0);
    expect(decoded).toEqual([]);
    buffer.take(policy, 0);
    expect(decoded).toEqual([0n, 1n, 2n]);
    buffer.take(policy, 0, { force: true });
    expect(decoded).toEqual([0n, 1n, 2n, 3n]);
  });

  it('lets one record larger than the limit through alone', () => {
    const buffer = make();
    buffer.append([entry(0, { bytes: 5_000 }), entry(1)], 2n, 0);
    expect(offsets(buffer.take(policy, 0))).toEqual([0]);
  });

  it('keeps rejected records in the run they belong to and ends after control records', () => {
    const buffer = make();
    buffer.append([entry(0), entry(1, { bad: true })], 5n, 0);
    const batch = buffer.take(policy, 0, { force: true })!;
    expect(offsets(batch)).toEqual([0]);
    expect(batch.rejected.map(({ record }) => record.offset)).toEqual([1n]);
    expect([batch.firstOffset, batch.nextOffset]).toEqual([0n, 5n]);
  });

  it('cuts where a new batch must start', () => {
    const buffer = make({ byHour: true });
    buffer.append([entry(0, { hour: 1 }), entry(1, { hour: 1 }), entry(2, { hour: 2 })], 3n, 0);
    const first = buffer.take(policy, 0)!;
    expect([offsets(first), first.nextOffset]).toEqual([[0, 1], 2n]);
    expect(buffer.take(policy, 0)).toBeUndefined();
    expect(offsets(buffer.take(policy, 0, { force: true }))).toEqual([2]);
    buffer.append([entry(3, { hour: 3 }), entry(4, { hour: 3 })], 5n, 0);
    const next = buffer.take(policy, 0, { force: true })!;
    expect([offsets(next), next.firstOffset, next.nextOffset]).toEqual([[3, 4], 3n, 5n]);
  });

  it('reproduces a claimed range exactly, and only when all of it is there', () => {
    const buffer = make({ start: 10n, pinnedEnd: 15n, byHour: true });
    buffer.append([entry(10), entry(11, { hour: 3 }), entry(12), entry(13)], 14n, 0);
    expect(buffer.awaitsRange).toBe(true);
    expect(buffer.take(policy, 1_000_000, { force: true })).toBeUndefined();
    buffer.append([entry(14), entry(15)], 16n, 0);
    const batch = buffer.take(policy, 0)!;
    expect([offsets(batch), batch.firstOffset, batch.nextOffset]).toEqual([[10, 11, 12, 13, 14], 10n, 15n]);
    expect(offsets(buffer.take(policy, 0, { force: true }))).toEqual([15]);
  });

  it('gives out a claimed range that holds control records only', () => {
    const buffer = make({ start: 10n, pinnedEnd: 12n });
    buffer.append([entry(12)], 13n, 0);
    const batch = buffer.take(policy, 0)!;
    expect([offsets(batch), batch.firstOffset, batch.nextOffset]).toEqual([[], 10n, 12n]);
  });

  it('never skips, repeats or reorders a record, however it arrives and is taken', () => {
    const actions = fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('append' as const),
          count: fc.integer({ min: 1, max: 7 }),
          gap: fc.integer({ min: 0, max: 2 }),
          repeat: fc.integer({ min: 0, max: 3 }),
          bytes: fc.integer({ min: 0, max: 600 }),
        }),
        fc.record({ kind: fc.constant('take' as const), force: fc.boolean() }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(actions, fc.boolean(), (steps, byHour) => {
        const buffer = make({ byHour });
        const sent: number[] = [];
        const received: number[] = [];
        let next = 0;
        let edge = 0n;
        const accept = (batch: Batch<number>): void => {
          expect(batch.firstOffset).toBe(edge);
          expect(batch.nextOffset).toBeGreaterThan(batch.firstOffset);
          for (const { record } of batch.records) {
            expect(record.offset >= batch.firstOffset && record.offset < batch.nextOffset).toBe(true);
          }
          expect(batch.records.length + batch.rejected.length).toBeLessThanOrEqual(policy.maxRecords);
          edge = batch.nextOffset;
          received.push(...batch.records.map(({ value }) => value));
        };
        for (const step of steps) {
          if (step.kind === 'append') {
            const again = sent.slice(Math.max(0, sent.length - step.repeat)).map((offset) => entry(offset));
            const fresh = Array.from({ length: step.count }, (_, index) =>
              entry(next + index, { bytes: step.bytes, hour: (next + index) % 5 }),
            );
            sent.push(...fresh.map(({ offset }) => Number(offset)));
            next += step.count + step.gap;
            buffer.append([...again, ...fresh], BigInt(next), 0);
          } else {
            // A forced take empties the buffer, as a drain does.
            do {
              const batch = buffer.take(policy, 0, { force: step.force });
              if (batch === undefined) break;
              accept(batch);
            } while (step.force);
          }
        }
        for (
          let batch = buffer.take(policy, 0, { force: true });
          batch !== undefined;
          batch = buffer.take(policy, 0, { force: true })
        )
          accept(batch);
        expect(received).toEqual(sent);
        expect(buffer.byteCount).toBe(0);
        expect(edge).toBe(sent.length === 0 ? 0n : BigInt(next));
      }),
    );
  });
});
