// UUIDv5 in the namespace of all derived ids: the domain's `idOfName`, with a SHA-1 that is small enough for browsers and synchronous.
import { ID_NAMESPACE } from '../../domain/assignment/deterministic-ids.ts';

const rotate = (word: number, count: number): number => (word << count) | (word >>> (32 - count));

/** SHA-1 (FIPS 180-4) as five words. It only spreads names here; nothing secret depends on it. */
function sha1(message: readonly number[]): number[] {
  const words: number[] = [];
  // 0x80 ends the message, and its length in bits the last block of 16 words.
  [...message, 0x80].forEach((byte, index) => {
    words[index >> 2]! |= byte << (24 - (index & 3) * 8);
  });
  words[((message.length + 8) >> 6) * 16 + 15] = message.length * 8;
  let hash = [0x67452301, 0xefcdab89, ~0x67452301, ~0xefcdab89, 0xc3d2e1f0];
  for (let start = 0; start < words.length; start += 16) {
    const w = words.slice(start, start + 16);
    let [a, b, c, d, e] = hash as [number, number, number, number, number];
    for (let step = 0; step < 80; step += 1) {
      if (step > 15) w[step] = rotate(w[step - 3]! ^ w[step - 8]! ^ w[step - 14]! ^ w[step - 16]!, 1);
      const round = Math.floor(step / 20);
      // The constants of the rounds are defined as the roots of 2, 3, 5 and 10, times 2^30.
      const constant = Math.floor(Math.sqrt([2, 3, 5, 10][round]!) * 2 ** 30);
      const mixed = round === 0 ? d ^ (b & (c ^ d)) : round === 2 ? (b & c) | (d & (b | c)) : b ^ c ^ d;
      [a, b, c, d, e] = [(rotate(a, 5) + mixed + constant + e + (w[step] ?? 0)) | 0, a, rotate(b, 30), c, d];
    }
    hash = [a, b, c, d, e].map((word, index) => (word + hash[index]!) | 0);
  }
  return hash;
}

/** The id of a name such as `exposure/…`. */
export function uuidOfName(name: string): string {
  const namespace = ID_NAMESPACE.match(/\w\w/g)!.map((byte) => Number.parseInt(byte, 16));
  const words = sha1([...namespace, ...new TextEncoder().encode(name)]);
  words[1] = (words[1]! & 0xffff0fff) | 0x5000;
  words[2] = (words[2]! & 0x3fffffff) | 0x80000000;
  return words
    .map((word) => (word >>> 0).toString(16).padStart(8, '0'))
    .join('')
    .replace(/(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5');
}
