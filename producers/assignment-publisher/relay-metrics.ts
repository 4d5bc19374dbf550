// Operational metrics of the outbox relays: how much waits, for how long, and whether this process publishes.
import type { Metrics } from '#platform/telemetry/metrics.ts';

export type RelayMetrics = ReturnType<typeof createRelayMetrics>;

/** One set for all relays of a process. Depth and age are reported by the process that leads, and by no other. */
export function createRelayMetrics(metrics: Metrics) {
  const labels = ['relay'] as const;
  const depth = metrics.gauge(
    'outbox_unpublished_rows',
    'Rows that Kafka does not have yet (counted to 100000)',
    labels,
  );
  const oldestAge = metrics.gauge(
    'outbox_oldest_age_seconds',
    'Age of the oldest row that Kafka does not have yet',
    labels,
  );
  return {
    published: metrics.counter('outbox_records_published_total', 'Records acknowledged by Kafka and marked', labels),
    failures: metrics.counter('outbox_failures_total', 'Attempts that ended with an error', labels),
    leading: metrics.gauge('outbox_leading', '1 while this process publishes the outbox', labels),
    setDepth: (relay: string, state: { rows: number; oldestAgeSeconds: number }): void => {
      depth.set({ relay }, state.rows);
      oldestAge.set({ relay }, state.oldestAgeSeconds);
    },
    forgetDepth: (relay: string): void => {
      depth.remove({ relay });
      oldestAge.remove({ relay });
    },
  };
}
