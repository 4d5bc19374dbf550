// Runs a consumer group member inside a test, with the settings and the life that its process would have.

import { type ConsumerSettings, startConsumer } from '#platform/kafka/consumer-process.ts';
import { plaintext } from '#platform/kafka/kafka-client.ts';
import type { ProcessContext } from '#platform/process/run-main.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics, type Metrics } from '#platform/telemetry/metrics.ts';
import { tracingOff } from '#platform/telemetry/tracing.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

export type TestMember = { readonly metrics: Metrics; readonly failures: unknown[]; stop(): Promise<void> };

type MemberOptions<T, P> = Omit<Parameters<typeof startConsumer<T, P>>[0], 'context'> & {
  namespace: string;
  flush?: Partial<ConsumerSettings['flush']>;
  group?: Partial<ConsumerSettings['group']>;
};

/** Starts a member; `failures` collects what would have ended its process. */
export async function startTestMember<T, P>(options: MemberOptions<T, P>): Promise<TestMember> {
  const endpoints = stackEndpoints();
  const resources = new AsyncDisposableStack();
  const failures: unknown[] = [];
  const metrics = createMetrics({ service: options.groupId });
  const context: ProcessContext<ConsumerSettings> = {
    config: {
      kafka: {
        ...plaintext(endpoints.kafka.brokers),
        namespace: options.namespace,
      },
      group: {
        client: 'kafkajs',
        sessionTimeoutMs: 8_000,
        instanceId: undefined,
        stallTimeoutMs: 60_000,
        ...options.group,
      },
      registry: { url: endpoints.schemaRegistry.url },
      operations: { host: '127.0.0.1', port: 0 },
      flush: {
        maxRecords: 500,
        maxBytes: 1_048_576,
        maxAgeMs: 50,
        maxBufferedBytes: 16_777_216,
        concurrency: 3,
        ...options.flush,
      },
    },
    log: createSilentLogger(),
    metrics,
    tracing: tracingOff,
    resources,
    fail: (error) => failures.push(error),
  };
  await startConsumer({ ...options, context });
  return { metrics, failures, stop: () => resources.disposeAsync() };
}

/** Value of a counter or gauge with these labels; 0 when it was never touched. */
export async function metricValue(
  metrics: Metrics,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const metric = await metrics.registry.getSingleMetric(name)?.get();
  const matching = metric?.values.filter((entry) =>
    Object.entries(labels).every(([label, value]) => String(entry.labels[label]) === value),
  );
  return (matching ?? []).reduce((sum, entry) => sum + entry.value, 0);
}
