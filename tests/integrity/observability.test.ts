// What an operator sees is there: running processes expose exactly the metrics of docs/metrics.md, and a trace leads from a request to its row.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listMetrics } from '#infra/generate/metric-catalogue.ts';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { processSpecs } from '#infra/system/process-specs.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { topics } from '#schemas/topics.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { until } from '#tests/support/poll.ts';
import { createExperiment, post } from '#tests/support/service-client.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';
import { startTraceReceiver } from '#tests/support/trace-receiver.ts';

const eventCount = 60;
/** So that only those requests are traced whose caller says so. */
const oneIn = 1_000_000;
/** job-worker needs Redis, which the stack of the tests does not have; planner-service is watched by its own test. */
const watched = processSpecs.filter(({ needsRedis, startsOnDemand }) => needsRedis !== true && startsOnDemand !== true);
let run: TestSystem;
let receiver: Awaited<ReturnType<typeof startTraceReceiver>>;

beforeAll(async () => {
  receiver = await startTraceReceiver();
  run = await startTestSystem(Object.fromEntries(watched.map(({ name }) => [name, 1])), {
    overrides: ({ name }) =>
      name === 'guardrail-monitor'
        ? {}
        : { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: receiver.url, TRACE_ONE_IN: String(oneIn) },
  });
});
afterAll(async () => {
  await run?.stop();
  await receiver?.[Symbol.asyncDispose]();
});

type Exposed = { readonly type: string; readonly labels: Set<string>; sum: number };

/** Metrics of a process by name, with the labels of their samples; the parts of a histogram count as one. */
async function scrape(name: (typeof processSpecs)[number]['name']): Promise<Map<string, Exposed>> {
  const answer = await fetch(`${run.system.process(name).url}/metrics`);
  const found = new Map<string, Exposed>();
  const text = await answer.text();
  for (const [, metric, type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm))
    found.set(metric!, { type: type!, labels: new Set(), sum: 0 });
  for (const [, series, labels = '', value] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    const metric = found.get(series!) ?? found.get(series!.replace(/_(bucket|sum|count)$/, ''));
    expect(metric, `${name} says the type of ${series}`).toBeDefined();
    for (const [, label] of labels.matchAll(/(\w+)="/g)) metric!.labels.add(label!);
    expect(labels).toContain(`service="${name}"`);
    metric!.sum += Number(value);
  }
  return found;
}

function toBody(variants: readonly string[], experimentId: string, index: number) {
  const { event_id, event_type, unit_type, context, metrics } = sampleEvent();
  const experiments = [{ experiment_id: experimentId, variant_id: variants[index % 2] }];
  const timestamp = '2026-10-01T12:00:00Z';
  return { event_id, event_type, unit_type, unit_id: `user-${index}`, context, metrics, experiments, timestamp };
}

describe('metrics', () => {
  test('each process exposes those of docs/metrics.md and no others, with their labels', async () => {
    const created = await createExperiment(run, { key: 'observed', exposure: 'implicit' });
    const variants = created.variants.map(({ variant_id }) => variant_id);
    const events = Array.from({ length: eventCount }, (_, index) => toBody(variants, created.experiment_id, index));
    await post(`${run.system.process('ingestion-service').url}/v1/events`, run.access.ingestKey, events, [202]);
    await waitUntilCaughtUp({ kafka: run.topics.kafka, pool: run.database.pool, namespace: run.topics.namespace });

    const defaults = createMetrics({ service: 'test', processMetrics: true });
    const everywhere = (await defaults.registry.getMetricsAsJSON()).map(({ name }) => name);
    const metrics = listMetrics(repositoryRoot);
    for (const { name } of watched) {
      const exposed = await scrape(name);
      const own = [...exposed].filter(([metric]) => !everywhere.includes(metric));
      const expected = metrics.filter(({ processes }) => processes.includes(name));
      expect(own.map(([metric, { type }]) => `${metric} ${type}`).sort(), name).toEqual(
        expected.map((metric) => `${metric.name} ${metric.type}`).sort(),
      );
      for (const { name: metric, labels } of expected) {
        const known = [...labels, 'service', 'le'];
        expect(
          [...exposed.get(metric)!.labels].filter((label) => !known.includes(label)),
          metric,
        ).toEqual([]);
      }
    }
  });

  test('every group accounts for all records, and knows that it is not behind', async () => {
    for (const name of ['postgres-sink', 'parquet-archiver', 'metrics-aggregator', 'dataset-builder'] as const) {
      const exposed = await until(`${name} to have counted`, async () => {
        const found = await scrape(name);
        return found.get('consumer_consumed_records_total')!.sum === eventCount && found;
      });
      expect(exposed.get('consumer_records_total')!.sum).toBe(eventCount);
      expect(exposed.get('consumer_partitions')!.sum).toBe(exposed.get('consumer_topic_partitions')!.sum);
      expect(exposed.get('consumer_lag_records')!.sum).toBe(0);
    }
  });
});

test('a trace that a caller began leads from its request over Kafka to the commit of the row', async () => {
  const traceId = randomBytes(16).toString('hex');
  const { event_id, event_type, unit_type } = sampleEvent();
  const event = { event_id, event_type, unit_type, unit_id: 'traced', timestamp: '2026-10-01T12:00:00Z' };
  const answer = await fetch(`${run.system.process('ingestion-service').url}/v1/events`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${run.access.ingestKey}`,
      'content-type': 'application/json',
      traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01`,
    },
    body: JSON.stringify(event),
  });
  expect(answer.status).toBe(202);

  const groups = ['postgres-sink', 'parquet-archiver', 'metrics-aggregator', 'dataset-builder'];
  const spansOf = (service: string) =>
    receiver.spans.filter((span) => span.service === service && span.traceId === traceId);
  await until('a span of each group', () => groups.every((group) => spansOf(group).length > 0));
  const [request, send] = ['POST /v1/events', `send ${topics.events.name}`].map((name) =>
    spansOf('ingestion-service').find((span) => span.name === name),
  );
  expect(request!.attributes).toMatchObject({ 'http.route': '/v1/events', 'http.response.status_code': 202 });
  expect(send!.parentSpanId).toBe(request!.spanId);
  const stored = await run.database.pool.query<{ source_partition: number; source_offset: bigint }>(
    'SELECT source_partition, source_offset FROM exp.events WHERE event_id = $1',
    [event_id],
  );
  for (const group of groups) {
    const [flush, ...others] = spansOf(group);
    expect(others).toEqual([]);
    expect(flush!.parentSpanId).toBe(send!.spanId);
    expect(flush!.attributes).toMatchObject({
      'messaging.destination.partition.id': String(stored.rows[0]!.source_partition),
      'messaging.kafka.offset': Number(stored.rows[0]!.source_offset),
      'trialstream.outcome': 'done',
    });
  }
  // The requests of the other tests were not chosen, and no span says who the unit was.
  expect(receiver.spans.filter((span) => span.traceId !== traceId)).toEqual([]);
  expect(JSON.stringify(receiver.spans)).not.toContain('traced');
});
