// The hash against Kafka's published values and against kafkajs' own, for keys of every length.
import { createRequire } from 'node:module';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { createKeyPartitioner, murmur2, partitionOfKey } from '#platform/kafka/key-partitioner.ts';

const murmur2OfKafkajs = createRequire(import.meta.url)('kafkajs/src/producer/partitioners/default/murmur2.js') as (
  key: Buffer,
) => number;

const metadata = Array.from({ length: 12 }, (_, partitionId) => ({
  partitionId,
  leader: 1,
  replicas: [1],
  isr: [1],
  partitionErrorCode: 0,
}));

describe('partitions of keys', () => {
  it("hashes the keys of Kafka's own test to its values", () => {
    // clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2
    const cases: [string, number][] = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ];
    for (const [key, hash] of cases) expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  it('hashes any bytes as kafkajs does', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(murmur2(bytes)).toBe(murmur2OfKafkajs(Buffer.from(bytes)));
      }),
    );
  });

  it('places texts and bytes alike where the default partitioner of kafkajs does, and records without a key in turn', () => {
    const ours = createKeyPartitioner();
    const theirs = kafkajs.Partitioners.DefaultPartitioner();
    for (const key of ['household:1', 'user:ünï 🎯', '']) {
      const args = { topic: 't', partitionMetadata: metadata, message: { key, value: null } };
      expect(ours(args)).toBe(theirs(args));
      expect(ours({ ...args, message: { key: Buffer.from(key), value: null } })).toBe(theirs(args));
      expect(partitionOfKey(Buffer.from(key), 12)).toBe(theirs(args));
    }
    const place = () => ours({ topic: 't', partitionMetadata: metadata, message: { value: null } });
    expect(new Set(Array.from({ length: 12 }, place)).size).toBe(12);
  });
});
