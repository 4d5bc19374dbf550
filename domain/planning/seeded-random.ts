// A seeded stream of random numbers: the same seed text gives the same numbers on every machine.

/** Numbers in [0, 1), one per call. */
export type Random = () => number;

/** A stream of its own for each text, so that drawing more in one place does not shift another place. */
export function createRandom(seed: string): Random {
  // FNV-1a over UTF-16 code units gives the start; mulberry32 is the generator (32 bits of state, passes gjrand).
  let state = 0x811c9dc5;
  for (let i = 0; i < seed.length; i++) state = Math.imul(state ^ seed.charCodeAt(i), 0x01000193);
  state = scramble(state >>> 0);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Final mixing of MurmurHash3: seeds that differ in one character start far apart. */
function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Standard normal by Box and Muller; draws two numbers. */
export function drawNormal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

/** Integer in [from, to], both included. */
export function drawInteger(random: Random, from: number, to: number): number {
  return from + Math.floor(random() * (to - from + 1));
}

/** One of the values, each as likely; the list must not be empty. */
export function drawOne<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)]!;
}

/** `count` distinct values (all of them when there are fewer), in random order. */
export function drawSome<T>(random: Random, values: readonly T[], count: number): T[] {
  const rest = [...values];
  const drawn: T[] = [];
  while (drawn.length < count && rest.length > 0) {
    drawn.push(...rest.splice(Math.floor(random() * rest.length), 1));
  }
  return drawn;
}

/** Index drawn with the given probabilities, which must sum to about 1. */
export function drawIndex(random: Random, probabilities: readonly number[]): number {
  const point = random();
  let sum = 0;
  let last = -1;
  for (const [index, probability] of probabilities.entries()) {
    if (probability === 0) continue;
    last = index;
    sum += probability;
    if (point < sum) return index;
  }
  // Rounding may leave the sum just under the point: the last index that can be drawn at all.
  return last;
}
