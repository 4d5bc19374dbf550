// The speed of something that works through a backlog, without its start and its end.

export type ProgressSample = { readonly atMs: number; readonly done: number };

const [fromRatio, toRatio] = [0.2, 0.9];

/**
 * Records per second between the first samples at which a fifth and nine tenths of the records were done. At both, as many batches
 * are under way as always, so what was begun before and what is left unfinished cancel out; the start of the process, and the last
 * batches that have the machine to themselves, are left out. When all of that happened between two looks, the whole run counts.
 */
export function steadyRate(samples: readonly ProgressSample[], records: number): number {
  const first = samples[0];
  const last = samples[samples.length - 1];
  if (first === undefined || last === undefined) throw new RangeError('a speed needs samples');
  const from = samples.find(({ done }) => done >= records * fromRatio) ?? first;
  const to = samples.find(({ done }) => done >= records * toRatio) ?? last;
  const [begin, end] = to.done > from.done && to.atMs > from.atMs ? [from, to] : [first, last];
  return ((end.done - begin.done) * 1_000) / (end.atMs - begin.atMs);
}
