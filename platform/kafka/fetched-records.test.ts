// Which records of a fetch are delivered: a consumer must see what was committed, once, and nothing else.
import { describe, expect, it } from 'vitest';
import { type AbortedTransaction, type RecordBatch, toCommittedRecords } from '#platform/kafka/fetched-records.ts';

const transactional = 16;
const control = 32;
const logAppendTime = 8;

function batch(firstOffset: bigint, values: readonly string[], change: Partial<RecordBatch> = {}): RecordBatch {
  return {
    firstOffset,
    lastOffsetDelta: Math.max(0, values.length - 1),
    attributes: 0,
    firstTimestamp: 1_000n,
    maxTimestamp: 5_000n,
    producerId: -1n,
    records: values.map((value, index) => ({
      offsetDelta: index,
      timestampDelta: BigInt(index),
      key: null,
      value: Buffer.from(value),
      headers: [],
    })),
    ...change,
  };
}

const inTransaction = (firstOffset: bigint, producerId: bigint, ...values: string[]): RecordBatch =>
  batch(firstOffset, values, { attributes: transactional, producerId });

function marker(offset: bigint, producerId: bigint, type: 'abort' | 'commit'): RecordBatch {
  const key = Buffer.from([0, 0, 0, type === 'abort' ? 0 : 1]);
  return batch(offset, ['marker'], {
    attributes: transactional | control,
    producerId,
    records: [{ offsetDelta: 0, timestampDelta: 0n, key, value: Buffer.alloc(6), headers: [] }],
  });
}

function read(batches: readonly RecordBatch[], fetchedFrom = 0n, aborted: readonly AbortedTransaction[] = []) {
  const { records, nextOffset } = toCommittedRecords({ topic: 't', partition: 3, fetchedFrom, batches, aborted });
  return { values: records.map(({ offset, value }) => `${offset}=${value?.toString()}`), nextOffset, records };
}

describe('records of a fetch', () => {
  it('leave out what lies before the offset that was asked for', () => {
    expect(read([batch(10n, ['a', 'b', 'c'])], 11n)).toMatchObject({ values: ['11=b', '12=c'], nextOffset: 13n });
  });

  it('leave out markers, and the next fetch starts after them', () => {
    const found = read([inTransaction(0n, 7n, 'a'), marker(1n, 7n, 'commit')]);
    expect(found).toMatchObject({ values: ['0=a'], nextOffset: 2n });
    expect(read([marker(1n, 7n, 'commit')], 1n)).toMatchObject({ values: [], nextOffset: 2n });
  });

  it('leave out each of several aborted transactions of one producer, and keep what it committed between them', () => {
    const batches = [
      inTransaction(0n, 7n, 'lost'),
      marker(1n, 7n, 'abort'),
      inTransaction(2n, 7n, 'kept'),
      marker(3n, 7n, 'commit'),
      inTransaction(4n, 7n, 'lost too'),
      batch(5n, ['plain']),
      marker(6n, 7n, 'abort'),
    ];
    const aborted = [4n, 0n].map((firstOffset) => ({ producerId: 7n, firstOffset }));
    expect(read(batches, 0n, aborted)).toMatchObject({ values: ['2=kept', '5=plain'], nextOffset: 7n });
  });

  it('leave out an aborted transaction whose marker is not part of the fetch', () => {
    const aborted = [{ producerId: 7n, firstOffset: 0n }];
    expect(read([inTransaction(0n, 7n, 'lost'), inTransaction(1n, 8n, 'kept')], 0n, aborted)).toMatchObject({
      values: ['1=kept'],
      nextOffset: 2n,
    });
  });

  it('carry the append time of the broker where the topic has it, else the time of the producer', () => {
    expect(read([batch(0n, ['a', 'b'])]).records.map(({ timestampMs }) => timestampMs)).toEqual([1_000, 1_001]);
    const appended = read([batch(0n, ['a', 'b'], { attributes: logAppendTime })]);
    expect(appended.records.map(({ timestampMs }) => timestampMs)).toEqual([5_000, 5_000]);
  });

  it('continue where they were when there is nothing', () => {
    expect(read([], 5n)).toMatchObject({ values: [], nextOffset: 5n });
  });
});
