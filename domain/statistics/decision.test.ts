// Checks each rule of the decision, their order, and the words of the evidence.
import { describe, expect, it } from 'vitest';
import { type DecisionInput, decide, type MetricResult } from './decision.ts';
import { computed, notComputable } from './result.ts';

function metric(given: Partial<MetricResult> & { interval?: [number, number] }): MetricResult {
  const [lower, upper] = given.interval ?? [-0.01, 0.01];
  const effect = computed({ estimate: (lower + upper) / 2, interval: { lower, upper }, scale: 'relative' as const });
  const { interval: _, ...fields } = given;
  return { metric: 'acceptance_rate', role: 'goal', better: 'increase', effect, ...fields };
}

function input(given: Partial<DecisionInput>): DecisionInput {
  return {
    metrics: [metric({})],
    sampleRatio: computed({ pValue: 0.4 }),
    units: 500,
    plannedUnits: 1000,
    alwaysValid: true,
    ...given,
  };
}

const better = metric({ interval: [0.01, 0.05] });
const worse = metric({ interval: [-0.05, -0.01] });
const latency = (interval: [number, number], bound?: number): MetricResult =>
  metric({
    metric: 'latency',
    role: 'guardrail',
    better: 'decrease',
    interval,
    ...(bound === undefined ? {} : { bound }),
  });

describe('the decision on an experiment', () => {
  it('is invalid when the split is broken, whatever else is known', () => {
    const decision = decide(
      input({ sampleRatio: computed({ pValue: 1e-6 }), metrics: [better, latency([0.2, 0.3], 0.1)] }),
    );
    expect(decision.status).toBe('invalid: sample ratio');
    expect(decision.evidence[0]).toBe('Units did not arrive in the planned proportions (p 1.0e-6, limit 0.001).');
  });

  it('stops for a guardrail that is worse than its bound, even when a goal is better', () => {
    const decision = decide(input({ metrics: [better, latency([0.11, 0.3], 0.1)] }));
    expect(decision.status).toBe('stop: guardrail');
    expect(decision.evidence).toContain('Guardrail broken: latency.');
    expect(decision.evidence).toContain(
      'latency: +20.50 % (interval +11.00 % to +30.00 %, bound +10.00 %), worse than control.',
    );
  });

  it('does not stop for a guardrail that is worse than control but may still be within its bound', () => {
    expect(decide(input({ metrics: [better, latency([0.05, 0.3], 0.1)] })).status).toBe('keep running');
  });

  it('stops for a goal that is worse', () => {
    expect(decide(input({ metrics: [worse] })).status).toBe('stop: harmful');
  });

  it('ships when a goal is better and every guardrail is shown to keep its bound', () => {
    const decision = decide(input({ metrics: [better, metric({ metric: 'edits' }), latency([-0.02, 0.09], 0.1)] }));
    expect(decision.status).toBe('ship');
    expect(decision.evidence[0]).toBe('Better than control: acceptance_rate; every guardrail holds.');
  });

  it('does not ship while one goal is better and another is worse', () => {
    expect(decide(input({ metrics: [better, { ...worse, metric: 'edits' }] })).status).toBe('stop: harmful');
  });

  it('waits with an open guardrail, and is inconclusive when the planned size does not close it', () => {
    const metrics = [better, latency([-0.02, 0.2], 0.1)];
    expect(decide(input({ metrics })).status).toBe('keep running');
    const decision = decide(input({ metrics, units: 1000 }));
    expect(decision.status).toBe('inconclusive at planned size');
    expect(decision.evidence).toContain('Not yet shown to keep its bound: latency.');
  });

  it('lets a guardrail without a bound pass unless it is worse than control', () => {
    expect(decide(input({ metrics: [better, latency([-0.02, 0.2])] })).status).toBe('ship');
    expect(decide(input({ metrics: [better, latency([0.01, 0.2])] })).status).toBe('stop: guardrail');
  });

  it('waits for the planned size when the intervals hold at one look only', () => {
    expect(decide(input({ metrics: [better], alwaysValid: false })).status).toBe('keep running');
    expect(decide(input({ metrics: [worse], alwaysValid: false })).status).toBe('keep running');
    expect(decide(input({ metrics: [better], alwaysValid: false, units: 1000 })).status).toBe('ship');
  });

  it('never ships on what cannot be computed', () => {
    const missing = notComputable('too-few-units', 'control has one unit');
    const open = decide(input({ metrics: [better, { ...latency([0, 0], 0.1), effect: missing }] }));
    expect(open.status).toBe('keep running');
    expect(open.evidence).toContain('latency: no result, control has one unit.');
    expect(decide(input({ metrics: [better], sampleRatio: missing })).status).toBe('keep running');
  });

  it('reads a metric that should fall the other way round', () => {
    const edits = metric({ metric: 'edits', better: 'decrease', interval: [-0.3, -0.1] });
    expect(decide(input({ metrics: [edits] })).status).toBe('ship');
  });
});
