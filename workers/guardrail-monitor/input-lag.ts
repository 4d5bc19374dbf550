// Whether the rows that guardrails are judged by are current: the group that writes them against the end of its topic.

export type InputState = { readonly state: 'current' } | { readonly state: 'behind'; readonly reason: string };

export type InputLag = {
  /** Notes where topic and group are now, and says whether the group has passed an end that is not older than the limit. */
  observe(ends: ReadonlyMap<number, bigint>, positions: ReadonlyMap<number, bigint>): InputState;
};

/**
 * The group is current when it has passed, in every partition, the end that the topic had at some moment within the last `maxLagMs`.
 * So it is behind while it is slow, while it reads an old part again (a replay puts it before every recent end at once), while it
 * has no position (a rebuild), and after a start until its position is compared with an end that this process has seen itself.
 */
export function createInputLag(options: { maxLagMs: number; nowMs: () => number }): InputLag {
  let samples: { atMs: number; ends: ReadonlyMap<number, bigint> }[] = [];
  return {
    observe: (ends, positions) => {
      const nowMs = options.nowMs();
      samples = [...samples.filter(({ atMs }) => nowMs - atMs <= options.maxLagMs), { atMs: nowMs, ends }];
      const passed = samples.some(({ ends: then }) =>
        [...then].every(([partition, end]) => end === 0n || (positions.get(partition) ?? 0n) >= end),
      );
      if (passed) return { state: 'current' };
      const missing = [...ends].reduce((sum, [partition, end]) => {
        const behind = end - (positions.get(partition) ?? 0n);
        return behind > 0n ? sum + behind : sum;
      }, 0n);
      const seconds = Math.round(options.maxLagMs / 1000);
      return { state: 'behind', reason: `metrics-aggregator is ${missing} records and more than ${seconds} s behind` };
    },
  };
}
