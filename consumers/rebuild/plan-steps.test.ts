// Tests of the order in which a rebuild reads: hours in order, every partition's offsets in order, gaps refused.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planSteps, type SegmentPlace } from './plan-steps.ts';

const place = (
  partition: number,
  first: number,
  last: number,
  hour: number,
  change: Partial<SegmentPlace> = {},
): SegmentPlace => ({
  partition,
  firstOffset: BigInt(first),
  lastOffset: BigInt(last),
  dt: '2026-01-05',
  hour,
  objectKey: `object-${hour}`,
  isExpired: false,
  ...change,
});
const range = (partition: number, first: number, last: number) => ({
  partition,
  firstOffset: BigInt(first),
  lastOffset: BigInt(last),
});

describe('the steps of a rebuild', () => {
  it('are hours in order, with the segments of a partition put together', () => {
    const plan = planSteps([place(1, 0, 4, 4), place(0, 10, 19, 4), place(0, 0, 4, 3), place(0, 5, 9, 3)], new Map());
    expect(plan).toEqual({
      steps: [
        { objectKeys: ['object-3'], ranges: [range(0, 0, 9)] },
        { objectKeys: ['object-4'], ranges: [range(1, 0, 4), range(0, 10, 19)] },
      ],
      ends: new Map([
        [1, 5n],
        [0, 20n],
      ]),
      problems: [],
      expiredOffsets: 0n,
    });
  });

  it('never read a partition backwards when its hours go back', () => {
    const { steps } = planSteps(
      [place(0, 0, 9, 3), place(0, 10, 19, 4), place(0, 20, 29, 3), place(0, 30, 39, 5)],
      new Map(),
    );
    expect(steps).toEqual([
      { objectKeys: ['object-3'], ranges: [range(0, 0, 9)] },
      { objectKeys: ['object-3', 'object-4'], ranges: [range(0, 10, 29)] },
      { objectKeys: ['object-5'], ranges: [range(0, 30, 39)] },
    ]);
  });

  it('begin where the group is', () => {
    const segments = [place(0, 0, 9, 3), place(0, 10, 19, 4)];
    expect(planSteps(segments, new Map([[0, 12n]])).steps).toEqual([
      { objectKeys: ['object-4'], ranges: [range(0, 12, 19)] },
    ]);
    expect(planSteps(segments, new Map([[0, 20n]])).steps).toEqual([]);
  });

  it('say what is missing, and what the policy removed', () => {
    expect(planSteps([place(0, 5, 9, 3), place(0, 12, 14, 3)], new Map([[0, 2n]])).problems).toEqual([
      'partition 0: offsets 2 to 4 are in no segment',
      'partition 0: offsets 10 to 11 are in no segment',
    ]);
    expect(planSteps([place(0, 0, 9, 3)], new Map([[0, 11n]])).problems).toEqual([
      'partition 0: the group is at 11, beyond the end 10 of the archive',
    ]);
    const expired = planSteps([place(0, 0, 9, 3, { objectKey: null, isExpired: true })], new Map([[0, 4n]]));
    expect(expired).toMatchObject({
      problems: [],
      expiredOffsets: 6n,
      steps: [{ objectKeys: [], ranges: [range(0, 4, 9)] }],
    });
  });

  it('cover every offset once and in order, for any hours', () => {
    const lengths = fc.array(
      fc.record({ length: fc.integer({ min: 1, max: 5 }), hour: fc.integer({ min: 0, max: 23 }) }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(fc.array(lengths, { minLength: 1, maxLength: 3 }), (partitions) => {
        const segments = partitions.flatMap((drawn, partition) => {
          let next = 0;
          return drawn.map(({ length, hour }) => {
            next += length;
            return place(partition, next - length, next - 1, hour);
          });
        });
        const { steps, ends, problems } = planSteps(segments, new Map());
        expect(problems).toEqual([]);
        for (const [partition, end] of ends) {
          let next = 0n;
          for (const { firstOffset, lastOffset } of steps.flatMap(({ ranges }) =>
            ranges.filter((entry) => entry.partition === partition),
          )) {
            expect(firstOffset).toBe(next);
            next = lastOffset + 1n;
          }
          expect(next).toBe(end);
        }
      }),
    );
  });
});
