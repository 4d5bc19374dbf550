// Checks what events of one parser share, and that sharing never lets an event pass that breaks a rule.
import { describe, expect, it } from 'vitest';
import { sampleEvent } from '#tests/support/events.ts';
import { createEventParser } from './decode-event.ts';

const limits = { earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 };
const experimentId = '11111111-1111-5111-8111-111111111111';
const variantId = 'aaaaaaaa-aaaa-5aaa-8aaa-aaaaaaaaaaaa';

function createHarness() {
  const parse = createEventParser(limits);
  return (experiments: { experiment_id: string; variant_id: string }[]) => {
    const event = sampleEvent({ experiments });
    return parse(event, { timestampMs: event.event_time });
  };
}

describe('createEventParser', () => {
  it('gives events of one variant one list that nobody can change', () => {
    const parse = createHarness();
    const list = () => [{ experiment_id: experimentId, variant_id: variantId }];
    const [first, second] = [parse(list()), parse(list())];
    if (!first.ok || !second.ok) throw new Error('refused');
    expect(second.value.experiments).toBe(first.value.experiments);
    expect(second.value.experiments).toEqual(list());
    expect(() => first.value.experiments.push(list()[0]!)).toThrow(TypeError);
  });

  it('keeps lists of other variants and of several experiments apart', () => {
    const parse = createHarness();
    const [one, other, third] = ['a', 'b', 'c'].map((digit) => `${digit}${variantId.slice(1)}`);
    const lists = [
      [{ experiment_id: experimentId, variant_id: one! }],
      [{ experiment_id: experimentId, variant_id: other! }],
      [
        { experiment_id: experimentId, variant_id: one! },
        { experiment_id: other!, variant_id: third! },
      ],
      [{ experiment_id: other!, variant_id: one! }],
    ];
    for (const list of [...lists, ...lists]) {
      const parsed = parse(structuredClone(list));
      expect(parsed.ok && parsed.value.experiments).toEqual(list);
    }
  });

  it('refuses a list that breaks a rule as often as it comes', () => {
    const parse = createHarness();
    const bad = () => [{ experiment_id: experimentId, variant_id: variantId.toUpperCase() }];
    const repeated = () => [
      { experiment_id: experimentId, variant_id: variantId },
      { experiment_id: experimentId, variant_id: variantId },
    ];
    parse([{ experiment_id: experimentId, variant_id: variantId }]);
    for (const list of [bad(), bad(), repeated(), repeated()]) expect(parse(list).ok).toBe(false);
  });
});
