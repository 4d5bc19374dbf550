// Seeded random numbers for bootstraps and simulations: the same seed gives the same stream in every process.
//
// Sources: SplitMix32 to spread the seed, then sfc32 (Doty-Humphrey, PractRand); Marsaglia's polar method for normal values.

export type RandomSource = {
  /** Uniform in [0, 1), 53 bits. */
  next(): number;
  /** Uniform integer in [0, bound); bound is at most 2^32. */
  integer(bound: number): number;
  /** Standard normal. */
  normal(): number;
};

/** Creates a stream; `seed` is any integer. Not for secrets. */
export function createRandom(seed: number): RandomSource {
  let spread = seed | 0;
  const splitMix = (): number => {
    spread = (spread + 0x9e3779b9) | 0;
    let x = spread ^ (spread >>> 16);
    x = Math.imul(x, 0x21f0aaad);
    x ^= x >>> 15;
    x = Math.imul(x, 0x735a2d97);
    return x ^ (x >>> 15);
  };
  let a = splitMix();
  let b = splitMix();
  let c = splitMix();
  let counter = splitMix();
  const bits = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 12; i++) bits();
  const next = (): number => ((bits() >>> 5) * 0x4000000 + (bits() >>> 6)) / 0x20000000000000;
  let spare: number | null = null;
  return {
    next,
    integer: (bound) => Math.floor((bits() / 0x100000000) * bound),
    normal: () => {
      if (spare !== null) {
        const value = spare;
        spare = null;
        return value;
      }
      for (;;) {
        const x = 2 * next() - 1;
        const y = 2 * next() - 1;
        const square = x * x + y * y;
        if (square >= 1 || square === 0) continue;
        const factor = Math.sqrt((-2 * Math.log(square)) / square);
        spare = y * factor;
        return x * factor;
      }
    },
  };
}
