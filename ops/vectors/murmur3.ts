// Vector files of 32-bit murmur3 hashes: rows of [seed, key, hash, bucket of 100] in named groups.
import { murmur3 } from '#domain/assignment/murmur3.ts';
import { requireArray, requireNumber, requireObject, requireText } from './read-json.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

export const murmur3Vectors: VectorKind = {
  fileName: 'murmur3_32.json',
  run(content) {
    const tally = createVectorTally();
    for (const [group, rows] of Object.entries(requireObject(requireObject(content, 'the file').rows, 'rows'))) {
      requireArray(rows, group).forEach((row, index) => {
        tally.attempt(`${group} row ${index + 1}`, () => {
          const [seed, key, hash, bucket] = requireArray(row, 'a row');
          const actual = murmur3(requireText(key, 'key'), requireNumber(seed, 'seed'));
          const actualBucket = (actual % 100) + 1;
          if (actual === hash && (bucket === undefined || actualBucket === bucket)) return true;
          return `expected hash ${hash} and bucket ${bucket}, got ${actual} and ${actualBucket}`;
        });
      });
    }
    return tally.report();
  },
};
