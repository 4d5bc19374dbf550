// Tests of the hash against published values and against an implementation over encoded bytes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPrefixedMurmur3, murmur3 } from './murmur3.ts';

/** The textbook form over a byte buffer, kept apart from the code under test. */
function murmur3OfBytes(bytes: Uint8Array, seed: number): number {
  const mix = (block: number) => {
    const scaled = Math.imul(block, 0xcc9e2d51);
    return Math.imul((scaled << 15) | (scaled >>> 17), 0x1b873593);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length - (bytes.length % 4);
  let hash = seed | 0;
  for (let position = 0; position < whole; position += 4) {
    hash ^= mix(view.getInt32(position, true));
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
  }
  let tail = 0;
  for (let position = bytes.length - 1; position >= whole; position -= 1) tail = (tail << 8) | view.getUint8(position);
  hash ^= mix(tail) ^ bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), loneSurrogates());

function loneSurrogates() {
  return fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 })).map((units) => String.fromCharCode(...units));
}

test('gives the published values of the reference implementation', () => {
  // From the verification values that are in wide circulation for MurmurHash3_x86_32.
  expect(murmur3('', 0)).toBe(0);
  expect(murmur3('', 1)).toBe(0x514e28b7);
  expect(murmur3('', 0xffffffff)).toBe(0x81f16f39);
  expect(murmur3('\0\0\0\0', 0)).toBe(0x2362f9de);
  expect(murmur3('aaaa', 0x9747b28c)).toBe(0x5a97808a);
  expect(murmur3('Hello, world!', 0x9747b28c)).toBe(0x24884cba);
  expect(murmur3('ππππππππ', 0x9747b28c)).toBe(0xd58063c1);
  expect(murmur3('The quick brown fox jumps over the lazy dog', 0x9747b28c)).toBe(0x2fa826cd);
});

test('hashes the UTF-8 bytes of any text, with lone surrogates as U+FFFD', () => {
  const encoder = new TextEncoder();
  fc.assert(
    fc.property(anyText, fc.integer(), (text, seed) => {
      expect(murmur3(text, seed)).toBe(murmur3OfBytes(encoder.encode(text), seed));
    }),
    { numRuns: 2_000 },
  );
});

test('a prefix hashed ahead changes nothing', () => {
  fc.assert(
    fc.property(anyText, anyText, (prefix, text) => {
      expect(createPrefixedMurmur3(`${prefix}:`)(text)).toBe(murmur3(`${prefix}:${text}`));
    }),
    { numRuns: 1_000 },
  );
});
