// Tests of what benchmarks make of their measurements, and of the table that people read.
import { describe, expect, it } from 'vitest';
import { runComparisons } from './contenders.ts';
import { type Finding, spreadOf, toLimitFinding, toRatioFinding } from './findings.ts';
import { parseBenchOptions } from './options.ts';
import { formatReport } from './report.ts';
import { toMemoryFindings } from './suites/memory.ts';
import { selectTree } from './support/process-usage.ts';
import { steadyRate } from './support/steady-rate.ts';

const samplesOf = (...speeds: number[]) => speeds.map((perSecond) => ({ perSecond, notes: {} }));
const compare = (subject: number[], baseline: number[], asked: { bar: number; aim?: number }): Finding =>
  toRatioFinding(
    'mine',
    {
      subject: { name: 'ours', unit: 'events', samples: samplesOf(...subject) },
      baseline: { name: 'theirs', unit: 'rows', samples: samplesOf(...baseline) },
    },
    asked,
  );

describe('a comparison', () => {
  it('divides within each repetition and takes the median of the quotients', () => {
    const finding = compare([50, 10, 60], [100, 100, 40], { bar: 0.5 });
    expect(finding).toMatchObject({ kind: 'ratio', ratio: { median: 0.5, min: 0.1, max: 1.5 }, ok: true, aim: null });
    expect(compare([49], [100], { bar: 0.5 })).toMatchObject({ ok: false });
  });

  it('runs every contender once per repetition, in turn from both ends', async () => {
    const order: string[] = [];
    const contender = (name: string) => ({
      name,
      unit: 'events',
      run: async () => {
        order.push(name);
        return { perSecond: 10, notes: {} };
      },
    });
    const [a, b, base] = [contender('a'), contender('b'), contender('base')];
    const findings = await runComparisons(
      [
        { name: 'first', subject: a, baseline: base, bar: 1 },
        { name: 'second', subject: b, baseline: base, bar: 1 },
      ],
      { repetitions: 2, onProgress: () => undefined },
    );
    expect(order).toEqual(['a', 'base', 'b', 'b', 'base', 'a']);
    expect(findings.map(({ name, ok }) => [name, ok])).toEqual([
      ['first', true],
      ['second', true],
    ]);
  });

  it('says plainly what falls short', () => {
    const report = formatReport([
      compare([40], [100], { bar: 0.5, aim: 0.8 }),
      toLimitFinding('memory', { unit: 'MB', values: [300, 310, 305] }, { limit: 400, exclusive: true }),
    ]);
    expect(report).toContain('0.40 ×');
    expect(report).toMatch(/≥ 0\.5, aim 0\.8\s+SHORT/);
    expect(report).toMatch(/305 MB\s+300 – 310\s+< 400 MB\s+ok/);
    expect(report).toContain('1 of 2 fall short.');
  });

  it('takes the middle of an even number of values', () => {
    expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(() => spreadOf([])).toThrow(RangeError);
  });
});

describe('memory', () => {
  it('is flat when the last third of a run needs about what the second did', () => {
    const growing = Array.from({ length: 90 }, (_, index) => (100 + index) * 1e6);
    const flat = growing.map((_, index) => (index < 30 ? 100 + index : 150) * 1e6);
    const verdicts = (residentBytes: number[]) => toMemoryFindings('x', { peakBytes: 3e8, residentBytes });
    expect(verdicts(flat).map(({ ok }) => ok)).toEqual([true, true]);
    expect(verdicts(growing).map(({ ok }) => ok)).toEqual([true, false]);
    expect(toMemoryFindings('x', { peakBytes: 4e8, residentBytes: flat }).map(({ ok }) => ok)).toEqual([false, true]);
  });
});

describe('speed through a backlog', () => {
  it('leaves out the start and the end', () => {
    const samples = [
      { atMs: 0, done: 0 },
      { atMs: 5_000, done: 20 },
      { atMs: 6_000, done: 60 },
      { atMs: 7_000, done: 90 },
      { atMs: 20_000, done: 100 },
    ];
    expect(steadyRate(samples, 100)).toBeCloseTo(35);
    expect(steadyRate([samples[0]!, samples[4]!], 100)).toBeCloseTo(5);
  });
});

describe('processes', () => {
  it('are found with everything below them, whatever the order', () => {
    const entry = (pid: number, parent: number) => ({ pid, parent, name: 'x', ownMs: 0, endedChildrenMs: 0 });
    const all = [entry(4, 3), entry(3, 2), entry(2, 1), entry(9, 1), entry(1, 0)];
    expect(selectTree(all, 2).map(({ pid }) => pid)).toEqual([4, 3, 2]);
  });
});

describe('options', () => {
  it('are all checked at once', () => {
    const parsed = parseBenchOptions(['--events', '0', '--only', 'nothing', '--seconds', 'ten']);
    expect(parsed.ok ? [] : parsed.problems).toHaveLength(3);
    expect(parseBenchOptions(['--unknown']).ok).toBe(false);
    expect(parseBenchOptions(['--help'])).toEqual({ ok: true, options: 'help' });
  });
});
