// Tests of how results are put together: roles and corrections, guardrails on both sides, the sample ratio of a ramp, the timeline.
import { describe, expect, test } from 'vitest';
import { controlId, sampleExperiment, sampleVariant, treatmentId } from '#domain/experiment/experiment-samples.ts';
import { undefinedMetric } from '#domain/metrics/metric-definition.ts';
import { ratioStatistic } from '#domain/statistics/ratio.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { meanSample } from '#domain/statistics/sample.ts';
import { resolveAnalysis } from './analysis-settings.ts';
import { analyzeExperiment, type LoadedExperiment } from './analyze-experiment.ts';
import { planMetrics } from './loaded-metric.ts';
import { reportSampleRatio } from './sample-ratio-report.ts';
import { planTimeline } from './timeline.ts';
import { toWire } from './to-wire.ts';

const dayMs = 86_400_000;
const running = { status: 'running' as const, serving: 'as_assigned' as const };
const { variants } = sampleExperiment();

function load(means: { control: number; treatment: number; units?: number }, change: Partial<LoadedExperiment> = {}) {
  const units = means.units ?? 2_000;
  const experiment = sampleExperiment({
    metrics: {
      primary: 'sales',
      secondary: ['visits'],
      guardrails: [{ metric: 'latency', direction: 'increase', bound: 0.1 }],
    },
  });
  const statistic = (mean: number) =>
    ratioStatistic({
      numerator: meanSample({ count: units, mean, m2: units }),
      denominator: meanSample({ count: units, mean: 1, m2: 0 }),
      coMoment: 0,
    });
  const arrivals = [controlId, treatmentId].map((variantId) => ({ variantId, period: 0, day: '2026-03-01', units }));
  const loaded: LoadedExperiment = {
    experiment,
    timeline: planTimeline([{ atMs: 0, coverage: 10_000, ...running }], variants),
    settings: resolveAnalysis({}),
    asOfMs: 10 * dayMs,
    units: arrivals.map(({ variantId, units: count }) => ({ variantId, period: 0, stratum: '', units: count })),
    exposedArrivals: arrivals,
    assignedArrivals: arrivals,
    exclusions: { excluded: 0, excludedByReason: [], contradictingEvents: 0, assignedWithoutExposure: 0 },
    metrics: planMetrics(experiment, new Map([['visits', undefinedMetric('visits')]])).map((planned) => ({
      ...planned,
      failure: null,
      cells: [
        { variantId: controlId, period: 0, stratum: '', statistic: statistic(means.control) },
        { variantId: treatmentId, period: 0, stratum: '', statistic: statistic(means.treatment) },
      ],
      byDay: [],
      bySegment: [],
      notes: [],
    })),
    ...change,
  };
  return analyzeExperiment(loaded);
}

describe('results', () => {
  test('give every role its own judgement: the primary decides, secondaries are corrected, guardrails are one-sided', () => {
    const results = load({ control: 10, treatment: 10.5 });
    const [primary, secondary, guardrail] = results.metrics.map(({ comparisons }) => comparisons[0]!);
    expect(results.metrics.map(({ roles }) => roles)).toEqual([['primary'], ['secondary'], ['guardrail']]);
    expect([primary!.corrected, secondary!.corrected?.significant, guardrail!.guardrail?.bound]).toEqual([
      null,
      true,
      0.1,
    ]);
    expect(guardrail!.guardrail!.evidence).toMatchObject({ status: 'computed', isBroken: false, alpha: 0.05 });
    expect(results.decisions).toMatchObject([{ status: 'ship', plannedUnits: null }]);
  });

  test('stop for a guardrail although the primary metric is better', () => {
    const results = load({ control: 10, treatment: 12 });
    expect(results.decisions[0]).toMatchObject({ status: 'stop: guardrail' });
    expect(results.decisions[0]!.evidence[0]).toBe('Guardrail broken: latency.');
  });

  test('judge no guardrail before there are enough units for a test that is valid for large samples', () => {
    const results = load({ control: 10, treatment: 20, units: 60 });
    expect(results.metrics[2]!.comparisons[0]!.guardrail!.evidence).toMatchObject({ reason: 'too-few-units' });
    expect(results.decisions[0]!.status).not.toBe('stop: guardrail');
  });

  test('are plain JSON for programs: snake case, open ends as null', () => {
    const wire = toWire(load({ control: 10, treatment: 10.1 })) as Record<string, unknown>;
    expect(Object.keys(wire)).toContain('sample_ratio');
    expect(JSON.parse(JSON.stringify(wire))).toEqual(wire);
    expect(toWire({ openEnd: Number.POSITIVE_INFINITY, list: [{ aB: 1 }] })).toEqual({
      open_end: null,
      list: [{ a_b: 1 }],
    });
  });
});

describe('the timeline', () => {
  test('has a period per coverage and serving since the start, and says when delivery deviated', () => {
    const { periods, deviations } = planTimeline(
      [
        { atMs: 0, status: 'draft', coverage: 10_000, serving: 'as_assigned' },
        { atMs: 10, coverage: 1_000, ...running },
        { atMs: 20, coverage: 1_000, ...running },
        { atMs: 30, coverage: 5_000, ...running },
        { atMs: 40, status: 'paused', coverage: 5_000, serving: 'off' },
        { atMs: 50, coverage: 5_000, ...running },
      ],
      variants,
    );
    expect(periods.map(({ startMs, endMs, coverage }) => [startMs, endMs, coverage])).toEqual([
      [null, 30, 1_000],
      [30, 40, 5_000],
      [40, 50, 5_000],
      [50, null, 5_000],
    ]);
    expect(deviations).toEqual([{ startMs: 40, endMs: 50 }]);
  });
});

describe('the sample ratio', () => {
  const uneven = [
    sampleVariant({ allocation: 9_000 }),
    sampleVariant({ variantId: treatmentId, name: 'treatment', isControl: false, allocation: 1_000 }),
  ];
  const timeline = planTimeline(
    [
      { atMs: 0, coverage: 1_000, ...running },
      { atMs: 5 * dayMs, coverage: 10_000, ...running },
    ],
    uneven,
  );
  const arrivals = (control: number, treatment: number) =>
    ['2026-03-01', '2026-03-02', '2026-03-03'].flatMap((day) =>
      [0, 1].flatMap((period) => [
        { variantId: controlId, period, day, units: control },
        { variantId: treatmentId, period, day, units: treatment },
      ]),
    );

  test('is sound when each period has its planned shares, and the evidence of periods adds up when they do not', () => {
    const sound = reportSampleRatio(arrivals(900, 100), timeline);
    expect(sound.anytime).toMatchObject({ status: 'computed', pValue: 1 });
    expect(sound.days.at(-1)).toMatchObject({ units: [5_400, 600], expectedShares: [0.9, 0.1] });
    const broken = reportSampleRatio(arrivals(900, 70), timeline);
    expect(isComputed(broken.anytime) && broken.anytime.pValue).toBeLessThan(0.001);
    expect(broken.days.map(({ pValue }) => pValue)).toEqual(
      [...broken.days.map(({ pValue }) => pValue)].sort((a, b) => b - a),
    );
  });

  test('is not computable without units', () => {
    expect(reportSampleRatio([], timeline).anytime).toMatchObject({ status: 'not-computable', reason: 'no-data' });
  });
});
