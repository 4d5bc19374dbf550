// Trace context in Kafka records: the header that carries it, and the span of each trace that a batch belongs to.
import type { KafkaRecord } from '#platform/kafka/record.ts';
import type { Batch } from '#platform/kafka/sink.ts';
import type { Traceparent, TraceSpan, Tracing } from '#platform/telemetry/tracing.ts';

const headerName = 'traceparent';
/** Name, value and two lengths: what the header adds to a record in a record batch, in bytes. */
export const traceHeaderBytes = headerName.length + 55 + 4;

export function traceHeaders(traceparent: Traceparent): Readonly<Record<string, string>> {
  return { [headerName]: traceparent };
}

/** A batch may hold thousands of sampled requests; a few of them tell what there is to tell of its flush. */
const maxSpansPerBatch = 50;

function listTraces(records: Iterable<KafkaRecord>): Map<Traceparent, { first: KafkaRecord; count: number }> {
  const traces = new Map<Traceparent, { first: KafkaRecord; count: number }>();
  for (const record of records) {
    const header = record.headers[headerName];
    if (header === undefined) continue;
    const traceparent = header.toString();
    const known = traces.get(traceparent);
    if (known !== undefined) known.count += 1;
    else if (traces.size < maxSpansPerBatch) traces.set(traceparent, { first: record, count: 1 });
  }
  return traces;
}

/**
 * Runs a flush inside one span per trace that its records belong to, from the taking of the batch to the commit; attributes name the
 * group and the position, by which the rows are found. Without tracing it only runs.
 */
export async function traceFlush<T, R extends string>(
  options: { tracing: Tracing; groupId: string; batch: Batch<T> },
  flush: () => Promise<R>,
): Promise<R> {
  const { tracing, groupId, batch } = options;
  if (!tracing.isOn) return flush();
  const records = [...batch.records, ...batch.rejected].map(({ record }) => record);
  const spans: TraceSpan[] = [];
  for (const [traceparent, { first, count }] of listTraces(records)) {
    const span = tracing.start(`process ${batch.topic}`, {
      kind: 'consumer',
      traceparent,
      attributes: {
        'messaging.system': 'kafka',
        'messaging.operation.type': 'process',
        'messaging.destination.name': batch.topic,
        'messaging.consumer.group.name': groupId,
        'messaging.destination.partition.id': String(batch.partition),
        'messaging.kafka.offset': Number(first.offset),
        'messaging.batch.message_count': count,
      },
    });
    if (span !== undefined) spans.push(span);
  }
  const endAll = (end: Parameters<TraceSpan['end']>[0]): void => {
    for (const span of spans) span.end(end);
  };
  try {
    const outcome = await flush();
    endAll({ attributes: { 'trialstream.outcome': outcome } });
    return outcome;
  } catch (error) {
    endAll({ error: (error as Error).message });
    throw error;
  }
}
