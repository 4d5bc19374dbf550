// Tests of compaction plans: one file per closed hour, limits kept, nothing in two files, nothing done twice.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ManifestRow, planCompaction } from './plan-compaction.ts';

let nextId = 1n;
const segment = (change: Partial<ManifestRow> = {}): ManifestRow => {
  const id = nextId++;
  return {
    id,
    kind: 'segment',
    objectKey: `segment-${id}`,
    dt: '2026-01-05',
    hour: 3,
    partition: 0,
    firstOffset: id * 100n,
    rowCount: 100,
    deadLetteredCount: 0,
    sizeBytes: 1_000,
    erasedUntil: new Date(1_000),
    ...change,
  };
};
const compacted = (change: Partial<ManifestRow> = {}): ManifestRow =>
  segment({ kind: 'compacted', partition: null, firstOffset: null, ...change });
const limits = { maxRows: 1_000, maxBytes: 1_000_000, latestErasureAt: null };
const sizesOf = (units: ReturnType<typeof planCompaction>): [string, number][] =>
  units.map(({ kind, inputs }) => [kind, inputs.length]);

describe('a compaction plan', () => {
  it('makes one file of an hour, and one of a lone segment', () => {
    expect(sizesOf(planCompaction([segment(), segment(), segment({ partition: 1 })], limits))).toEqual([['merge', 3]]);
    expect(sizesOf(planCompaction([segment()], limits))).toEqual([['merge', 1]]);
  });

  it('leaves an hour alone that has one file already, and hours without any object', () => {
    expect(planCompaction([compacted()], limits)).toEqual([]);
    expect(planCompaction([segment({ rowCount: 0 })], limits)).toEqual([]);
    expect(planCompaction([compacted(), segment({ rowCount: 0 })], limits)).toEqual([]);
  });

  it('takes segments that came late into the file of their hour', () => {
    const [late, file] = [segment(), compacted()];
    expect(planCompaction([late, file], limits)).toMatchObject([{ kind: 'merge', inputs: [file, late] }]);
    expect(sizesOf(planCompaction([late, compacted({ rowCount: 1_000 })], limits))).toEqual([['merge', 1]]);
  });

  it('checks a file for erased units only when a unit was erased since it was written', () => {
    const [before, after] = [compacted(), compacted({ erasedUntil: new Date(3_000) })];
    const plan = planCompaction([before, after], { ...limits, latestErasureAt: new Date(2_000) });
    expect(plan).toMatchObject([{ kind: 'check', inputs: [before] }]);
  });

  it('goes from old hours to new ones', () => {
    const plan = planCompaction([segment({ hour: 10 }), segment({ hour: 9 }), segment({ dt: '2025-12-31' })], limits);
    expect(plan.map(({ dt, hour }) => [dt, hour])).toEqual([
      ['2025-12-31', 3],
      ['2026-01-05', 9],
      ['2026-01-05', 10],
    ]);
  });

  it('puts every segment with rows into exactly one file and keeps the limits, whatever the hour holds', () => {
    const row = fc.record({
      kind: fc.constantFrom('segment' as const, 'compacted' as const),
      partition: fc.integer({ min: 0, max: 3 }),
      rowCount: fc.integer({ min: 0, max: 1_500 }),
      sizeBytes: fc.integer({ min: 0, max: 1_200_000 }),
    });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 30 }), (drawn) => {
        const rows = drawn.map((change) =>
          change.kind === 'segment' ? segment(change) : compacted({ ...change, partition: null }),
        );
        const planned = planCompaction(rows, limits);
        const inputs = planned.flatMap((unit) => unit.inputs);
        expect(new Set(inputs).size).toBe(inputs.length);
        for (const entry of rows) {
          if (entry.kind === 'segment' && entry.rowCount > 0) expect(inputs).toContain(entry);
        }
        for (const unit of planned) {
          const sum = unit.inputs.reduce((total, { rowCount }) => total + rowCount, 0);
          expect(sum <= limits.maxRows || unit.inputs.filter(({ rowCount }) => rowCount > 0).length === 1).toBe(true);
        }
      }),
    );
  });
});
