// When a member counts as stalled: only when it could read, did not, and Kafka had more, time after time.
import { describe, expect, it } from 'vitest';
import { createStallWatchdog, type ReadingState } from '#platform/kafka/stall-watchdog.ts';

function setUp() {
  const failures: string[] = [];
  const state = { joined: true, wanted: new Map([[3, { position: 10n, deliveries: 1 }]]), end: 10n, away: false };
  const watchdog = createStallWatchdog({
    timeoutMs: 60_000,
    topic: 't',
    look: (): ReadingState => ({ joined: state.joined, wanted: new Map(state.wanted) }),
    readOffsets: async () => {
      if (state.away) throw new Error('Kafka is away');
      return new Map([[3, { logStart: 0n, highWatermark: state.end }]]);
    },
    stalled: (error) => failures.push(error.message),
  });
  const check = async (times: number): Promise<void> => {
    for (let time = 0; time < times; time += 1) await watchdog.check();
  };
  return { state, check, failures };
}

describe('stall watchdog', () => {
  it('reports a partition that has more and stands still', async () => {
    const { state, check, failures } = setUp();
    state.end = 11n;
    await check(3);
    expect(failures).toEqual([]);
    await check(1);
    expect(failures).toEqual([
      'nothing was fetched of t partition 3 for about 60 s, although Kafka answers: the client has stalled, a new process is needed',
    ]);
  });

  it('is content with a partition that is read to its end', async () => {
    const { check, failures } = setUp();
    await check(10);
    expect(failures).toEqual([]);
  });

  it('is content as long as a partition moves, however far behind it is', async () => {
    const { state, check, failures } = setUp();
    state.end = 1_000n;
    for (let deliveries = 2; deliveries < 20; deliveries += 1) {
      await check(2);
      state.wanted.set(3, { position: BigInt(10 + deliveries), deliveries });
    }
    expect(failures).toEqual([]);
  });

  it('is content when the same records come again and again, because something else than Kafka is away', async () => {
    const { state, check, failures } = setUp();
    state.end = 1_000n;
    for (let deliveries = 2; deliveries < 20; deliveries += 1) {
      await check(2);
      state.wanted.set(3, { position: 10n, deliveries });
    }
    expect(failures).toEqual([]);
  });

  it('does not count while the partition is paused, or Kafka does not answer', async () => {
    const { state, check, failures } = setUp();
    state.end = 11n;
    for (let round = 0; round < 4; round += 1) {
      await check(2);
      state.wanted.clear();
      await check(2);
      state.wanted.set(3, { position: 10n, deliveries: 1 });
      await check(2);
      state.away = true;
      await check(2);
      state.away = false;
    }
    expect(failures).toEqual([]);
  });

  it('reports a member that stays outside its group while Kafka answers', async () => {
    const { state, check, failures } = setUp();
    state.joined = false;
    state.wanted.clear();
    state.away = true;
    await check(5);
    state.away = false;
    await check(2);
    expect(failures).toEqual([]);
    await check(1);
    expect(failures).toEqual([expect.stringContaining('has not been in its group of t')]);
  });
});
