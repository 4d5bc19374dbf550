// Lag is told while nothing moves too: a stuck flush, a paused group, a broker that does not answer.
import { describe, expect, it } from 'vitest';
import { createLagMeter } from '#platform/kafka/lag-meter.ts';
import { createOwnedPartition } from '#platform/kafka/owned-partition.ts';

function setUp() {
  const said: string[] = [];
  const clock = { nowMs: 100_000 };
  const ends = new Map<number, bigint>();
  const kafka = { away: false };
  const partition = { ...createOwnedPartition<unknown>(3), phase: 'active' as 'active' | 'held' };
  partition.stored = { ...partition.stored, nextOffset: 10n };
  const oldest: { ms: number | undefined } = { ms: undefined };
  const meter = createLagMeter({
    owned: new Map([
      [
        3,
        Object.assign(partition, {
          buffer: {
            get oldestTimestampMs() {
              return oldest.ms;
            },
          } as never,
        }),
      ],
    ]),
    readOffsets: async () => {
      if (kafka.away) throw new Error('away');
      return new Map([...ends].map(([id, highWatermark]) => [id, { logStart: 0n, highWatermark }]));
    },
    metrics: {
      behind: (id, lag, seconds) => void said.push(`${id}: ${lag} records, ${seconds} s`),
      held: (count) => void said.push(`held ${count}`),
    },
    now: () => clock.nowMs,
  });
  const look = async (): Promise<string[]> => {
    said.length = 0;
    await meter.look();
    return [...said];
  };
  return { partition, oldest, clock, ends, kafka, look };
}

describe('the lag of a partition', () => {
  it('is nothing at the end of the log', async () => {
    const { ends, look } = setUp();
    ends.set(3, 10n);
    expect(await look()).toEqual(['held 0', '3: 0 records, 0 s']);
  });

  it('is the age of the first record of a flush that does not end', async () => {
    const { partition, oldest, clock, ends, look } = setUp();
    ends.set(3, 25n);
    partition.flushingFromMs = 40_000;
    oldest.ms = 90_000;
    expect(await look()).toEqual(['held 0', '3: 15 records, 60 s']);
    clock.nowMs += 30_000;
    expect(await look()).toEqual(['held 0', '3: 15 records, 90 s']);
  });

  it('is the age of the first record that waits for its flush', async () => {
    const { oldest, ends, look } = setUp();
    ends.set(3, 11n);
    oldest.ms = 98_000;
    expect(await look()).toEqual(['held 0', '3: 1 records, 2 s']);
  });

  it('grows while the group is paused, from when it was seen to be behind', async () => {
    const { partition, clock, ends, look } = setUp();
    partition.phase = 'held';
    ends.set(3, 12n);
    expect(await look()).toEqual(['held 1', '3: 2 records, 0 s']);
    clock.nowMs += 15_000;
    expect(await look()).toEqual(['held 1', '3: 2 records, 15 s']);
    partition.stored = { ...partition.stored, nextOffset: 12n };
    expect(await look()).toEqual(['held 1', '3: 0 records, 0 s']);
  });

  it('goes on from the last known end while Kafka does not answer', async () => {
    const { clock, ends, kafka, oldest, look } = setUp();
    ends.set(3, 20n);
    oldest.ms = 99_000;
    await look();
    kafka.away = true;
    clock.nowMs += 9_000;
    expect(await look()).toEqual(['held 0', '3: 10 records, 10 s']);
  });
});
