// murmur3_x86_32 over the UTF-8 bytes of a text, without a byte buffer, and resumable after a fixed prefix.
//
// Source: Austin Appleby, MurmurHash3.cpp (public domain), variant x86_32. A lone surrogate, which has no UTF-8 form, is
// hashed as U+FFFD, as every standard encoder writes it.

const BLOCK_FACTOR_1 = 0xcc9e2d51;
const BLOCK_FACTOR_2 = 0x1b873593;
const REPLACEMENT_CHARACTER = 0xfffd;
/** First byte of a character of two, three and four bytes. */
const LEADING_BYTE_MARK = [0xc0, 0xe0, 0xf0];

/** Where hashing stands: `hash` covers whole blocks of four bytes, `tail` the 0..3 bytes after them, `length` all bytes. */
type HashState = { hash: number; tail: number; length: number };

/** Hash of a text as an unsigned 32-bit integer. The seed is taken modulo 2^32, so negative seeds are fine. */
export function murmur3(text: string, seed = 0): number {
  const state: HashState = { hash: seed | 0, tail: 0, length: 0 };
  absorb(state, text);
  return finish(state);
}

/** Returns a function equal to `text => murmur3(prefix + text, 0)` that hashes the prefix only once. */
export function createPrefixedMurmur3(prefix: string): (text: string) => number {
  const start: HashState = { hash: 0, tail: 0, length: 0 };
  absorb(start, prefix);
  const { hash, tail, length } = start;
  return (text) => {
    const state: HashState = { hash, tail, length };
    absorb(state, text);
    return finish(state);
  };
}

function mixBlock(block: number): number {
  const scaled = Math.imul(block, BLOCK_FACTOR_1);
  return Math.imul((scaled << 15) | (scaled >>> 17), BLOCK_FACTOR_2);
}

function mixHash(hash: number, block: number): number {
  const mixed = hash ^ mixBlock(block);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function absorb(state: HashState, text: string): void {
  let { hash, tail, length } = state;
  const wholeWordsEnd = text.length - 3;
  for (let index = 0; index < text.length; index += 1) {
    // The common case, four ASCII characters at once, at any alignment to the blocks.
    while (index < wholeWordsEnd) {
      const first = text.charCodeAt(index);
      const second = text.charCodeAt(index + 1);
      const third = text.charCodeAt(index + 2);
      const fourth = text.charCodeAt(index + 3);
      if ((first | second | third | fourth) >= 0x80) break;
      const word = first | (second << 8) | (third << 16) | (fourth << 24);
      const shift = (length & 3) << 3;
      hash = mixHash(hash, tail | (word << shift));
      // Two shifts, because a shift by 32 would be a shift by 0.
      tail = (word >>> 1) >>> (31 - shift);
      length += 4;
      index += 4;
    }
    if (index >= text.length) break;
    // The UTF-8 bytes of one character, the first in the lowest eight bits.
    let bytes = text.charCodeAt(index);
    let byteCount = 1;
    if (bytes >= 0x80) {
      let codePoint = bytes;
      if (codePoint >= 0xd800 && codePoint < 0xe000) {
        codePoint = text.codePointAt(index) ?? REPLACEMENT_CHARACTER;
        if (codePoint > 0xffff) index += 1;
        else codePoint = REPLACEMENT_CHARACTER;
      }
      bytes = 0x80 | (codePoint & 0x3f);
      byteCount = codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
      for (let left = byteCount - 2; left > 0; left -= 1) {
        codePoint >>= 6;
        bytes = (bytes << 8) | 0x80 | (codePoint & 0x3f);
      }
      bytes = (bytes << 8) | LEADING_BYTE_MARK[byteCount - 2]! | (codePoint >> 6);
    }
    for (; byteCount > 0; byteCount -= 1) {
      tail |= (bytes & 0xff) << ((length & 3) << 3);
      bytes >>>= 8;
      length += 1;
      if ((length & 3) === 0) {
        hash = mixHash(hash, tail);
        tail = 0;
      }
    }
  }
  state.hash = hash;
  state.tail = tail;
  state.length = length;
}

function finish({ hash, tail, length }: HashState): number {
  // Mixing an empty tail gives zero, so the case of whole blocks needs no branch.
  let result = hash ^ mixBlock(tail) ^ length;
  result = Math.imul(result ^ (result >>> 16), 0x85ebca6b);
  result = Math.imul(result ^ (result >>> 13), 0xc2b2ae35);
  return (result ^ (result >>> 16)) >>> 0;
}
