// Tests of the event rules: the door and the consumers refuse the same things, naming the field.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventDateOf, eventKeyOf, findEventProblem } from '#domain/event/parse-event.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

const bounds = { earliestMs: Date.UTC(2015, 0, 1), latestMs: Date.UTC(2030, 0, 1) };
const valid: EventRecord = {
  event_id: '0b0e8a4e-0000-4000-8000-000000000001',
  event_type: 'purchase',
  unit_type: 'user',
  unit_id: 'ünit-1',
  experiments: [
    { experiment_id: '0b0e8a4e-0000-4000-8000-00000000000a', variant_id: '0b0e8a4e-0000-4000-8000-00000000000b' },
  ],
  context: { country: 'DE', age: 31, premium: true, referrer: null },
  metrics: { revenue: 12.5 },
  payload: '{"a":[1,2,{"b":"\\u00e9"}]}',
  event_time: Date.UTC(2026, 1, 3),
  ingest_time: Date.UTC(2026, 1, 3),
  producer: 'shop',
};

describe('findEventProblem', () => {
  it('accepts a complete event', () => {
    expect(findEventProblem(valid, bounds)).toBeUndefined();
  });

  it.each<[string, Partial<EventRecord>]>([
    ['event_id', { event_id: '0B0E8A4E-0000-4000-8000-000000000001' }],
    ['event_type', { event_type: '' }],
    ['event_type', { event_type: '9lives' }],
    ['unit_type', { unit_type: 'a b' }],
    ['unit_id', { unit_id: '' }],
    ['unit_id', { unit_id: 'x\u0000' }],
    ['unit_id', { unit_id: '\ud800' }],
    ['unit_id', { unit_id: 'x'.repeat(257) }],
    ['producer', { producer: '' }],
    ['event_time', { event_time: Date.UTC(2014, 0, 1) }],
    ['event_time', { event_time: Date.UTC(2031, 0, 1) }],
    ['event_time', { event_time: Number.NaN }],
    ['experiments', { event_type: 'exposure', experiments: [] }],
    ['experiments[1].experiment_id', { experiments: [valid.experiments[0]!, valid.experiments[0]!] }],
    ['experiments[0].variant_id', { experiments: [{ experiment_id: valid.event_id, variant_id: 'a' }] }],
    ['context.bad name', { context: { 'bad name': 1 } }],
    ['context.size', { context: { size: Number.POSITIVE_INFINITY } }],
    ['context.text', { context: { text: 'x\u0000' } }],
    ['metrics.m', { metrics: { m: Number.NaN } }],
    ['metrics.m', { metrics: { m: Number.NEGATIVE_INFINITY } }],
    ['payload', { payload: '{' }],
    ['payload', { payload: '"\\u0000"' }],
    ['payload', { payload: '{"a":"\\ud800"}' }],
    ['payload', { payload: `${'['.repeat(40)}${']'.repeat(40)}` }],
  ])('names the field %s', (field, change) => {
    expect(findEventProblem({ ...valid, ...change }, bounds)?.field).toBe(field);
  });

  it('keeps escaped backslashes and paired surrogates in payloads', () => {
    expect(findEventProblem({ ...valid, payload: '"\\\\u0000 \\ud83d\\ude00"' }, bounds)).toBeUndefined();
  });

  it('never throws, whatever texts and numbers it is given', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.double(),
        fc.dictionary(fc.string(), fc.double()),
        (text, number, metrics) => {
          findEventProblem(
            { ...valid, unit_id: text, payload: text, event_time: number, metrics, context: { ...metrics, text } },
            bounds,
          );
        },
      ),
    );
  });
});

describe('eventDateOf', () => {
  it('is the UTC day, also one millisecond before midnight and before 1970', () => {
    expect(eventDateOf(Date.UTC(2026, 1, 3, 23, 59, 59, 999))).toBe('2026-02-03');
    expect(eventDateOf(Date.UTC(2026, 1, 4))).toBe('2026-02-04');
    expect(eventDateOf(-1)).toBe('1969-12-31');
  });
});

describe('eventKeyOf', () => {
  it('joins unit type and unit id', () => {
    expect(eventKeyOf(valid)).toBe('user:ünit-1');
  });
});
