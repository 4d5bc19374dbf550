// Trace context is read strictly, and tracing that is off costs nothing and starts nothing.
import { describe, expect, it } from 'vitest';
import { openTracing, parseTraceparent } from '#platform/telemetry/tracing.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';

describe('a traceparent', () => {
  it('has a trace, a span and flags', () => {
    expect(parseTraceparent(`00-${traceId}-${spanId}-01`)).toEqual({ traceId, spanId, traceFlags: 1 });
  });

  it.each([
    '',
    'x',
    `00-${traceId}-${spanId}`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
  ])('is not %j', (text) => expect(parseTraceparent(text)).toBeNull());
});

describe('tracing', () => {
  it('is off without an address: no span, whatever the caller says', async () => {
    await using tracing = await openTracing('test', { endpoint: undefined, oneIn: 1 });
    expect(tracing.isOn).toBe(false);
    expect(tracing.start('x', { kind: 'server', traceparent: `00-${traceId}-${spanId}-01` })).toBeUndefined();
  });

  it('continues the trace of the caller, and follows its decision', async () => {
    // Nobody listens there: spans that cannot be sent are dropped, and the end does not wait for long.
    await using tracing = await openTracing('test', { endpoint: 'http://127.0.0.1:9/v1/traces', oneIn: 1_000_000 });
    const span = tracing.start('x', { kind: 'consumer', traceparent: `00-${traceId}-${spanId}-01` });
    expect(parseTraceparent(span!.traceparent)).toMatchObject({ traceId, traceFlags: 1 });
    expect(span!.traceparent).not.toContain(spanId);
    span!.end({ error: 'on purpose' });
    expect(tracing.start('x', { kind: 'consumer', traceparent: `00-${traceId}-${spanId}-00` })).toBeUndefined();
  });

  it('takes one of so many where nobody has decided', async () => {
    await using tracing = await openTracing('test', { endpoint: 'http://127.0.0.1:9/v1/traces', oneIn: 10 });
    const taken = Array.from({ length: 2_000 }, () => tracing.start('x', { kind: 'server', traceparent: 'nonsense' }));
    const count = taken.filter((span) => span !== undefined).length;
    expect(count).toBeGreaterThan(100);
    expect(count).toBeLessThan(320);
  });
});
