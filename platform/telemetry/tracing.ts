// Traces over OTLP/HTTP, off unless an address is set; while they are off nothing of OpenTelemetry is even loaded.
import type { Attributes, Context, Span, SpanKind } from '@opentelemetry/api';

/** W3C trace context as one text, `00-<trace id>-<span id>-<flags>`: what HTTP and Kafka headers carry. */
export type Traceparent = string;

export type TraceSpan = {
  readonly traceparent: Traceparent;
  /** Ends the span, as failed when there is an error. No unit ids in attributes: traces are logs. */
  end(options?: { attributes?: Attributes; error?: string }): void;
};

export type Tracing = {
  /**
   * Begins a span; undefined while tracing is off, and for what is not sampled. With a traceparent the span continues that trace and
   * follows its decision on sampling; a malformed one counts as none.
   */
  start(
    name: string,
    options: {
      kind: 'server' | 'producer' | 'consumer';
      traceparent?: Traceparent | undefined;
      attributes?: Attributes;
    },
  ): TraceSpan | undefined;
  readonly isOn: boolean;
};

export const tracingOff: Tracing = { start: () => undefined, isOn: false };

export type TracingConfig = { readonly endpoint: string | undefined; readonly oneIn: number };

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const nothing = /^0+$/;

/** Parts of a traceparent; null when it is not one. */
export function parseTraceparent(text: string): { traceId: string; spanId: string; traceFlags: number } | null {
  const [, traceId = '', spanId = '', flags = ''] = pattern.exec(text) ?? [];
  if (traceId === '' || nothing.test(traceId) || nothing.test(spanId)) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) };
}

/** A collector that is away must not hold up the end of a process for longer. */
const exportTimeoutMs = 3_000;

/**
 * Tracing of one process. Spans are sent in the background; those that a collector does not take are dropped, and no request waits
 * for it. Disposing sends what is left, within a few seconds.
 */
export async function openTracing(service: string, config: TracingConfig): Promise<Tracing & AsyncDisposable> {
  if (config.endpoint === undefined) return { ...tracingOff, [Symbol.asyncDispose]: async () => {} };
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const exporter = new OTLPTraceExporter({ url: config.endpoint, timeoutMillis: exportTimeoutMs });
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.namespace': 'trialstream' }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(1 / config.oneIn) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({ exporter, scheduledDelayMillis: 1_000, exportTimeoutMillis: exportTimeoutMs }),
    ],
  });
  const tracer = provider.getTracer('trialstream');
  const kinds: Readonly<Record<'server' | 'producer' | 'consumer', SpanKind>> = {
    server: api.SpanKind.SERVER,
    producer: api.SpanKind.PRODUCER,
    consumer: api.SpanKind.CONSUMER,
  };

  const contextOf = (traceparent: Traceparent | undefined): Context => {
    const parent = traceparent === undefined ? null : parseTraceparent(traceparent);
    return parent === null
      ? api.ROOT_CONTEXT
      : api.trace.setSpanContext(api.ROOT_CONTEXT, { ...parent, isRemote: true });
  };
  const toTraceSpan = (span: Span): TraceSpan | undefined => {
    const { traceId, spanId } = span.spanContext();
    if (!span.isRecording()) return undefined;
    return {
      traceparent: `00-${traceId}-${spanId}-01`,
      end: ({ attributes = {}, error } = {}) => {
        span.setAttributes(attributes);
        if (error !== undefined) span.setStatus({ code: api.SpanStatusCode.ERROR, message: error });
        span.end();
      },
    };
  };

  return {
    isOn: true,
    start: (name, { kind, traceparent, attributes = {} }) =>
      toTraceSpan(tracer.startSpan(name, { kind: kinds[kind], attributes }, contextOf(traceparent))),
    // It fails when the collector does not take the last spans: no reason for a process to end badly.
    [Symbol.asyncDispose]: () => provider.shutdown().catch(() => undefined),
  };
}
