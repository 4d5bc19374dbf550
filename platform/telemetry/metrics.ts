// Operational metrics of one process in Prometheus form; names are `<subsystem>_<noun>_<unit>[_total]`.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = {
  readonly registry: Registry;
  counter<L extends string>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  gauge<L extends string>(name: string, help: string, labels?: readonly L[]): Gauge<L>;
  histogram<L extends string>(
    name: string,
    help: string,
    labels?: readonly L[],
    bucketsSeconds?: readonly number[],
  ): Histogram<L>;
  /** The exposition text of all metrics. */
  expose(): Promise<{ contentType: string; text: string }>;
};

const defaultBucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Metrics of one process; one registry each, so that tests and processes never share counters. */
export function createMetrics(options: { service: string; processMetrics?: boolean }): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service: options.service });
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });
  return {
    registry,
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: [...labels], registers: [registry] }),
    gauge: (name, help, labels = []) => new Gauge({ name, help, labelNames: [...labels], registers: [registry] }),
    histogram: (name, help, labels = [], bucketsSeconds = defaultBucketsSeconds) =>
      new Histogram({ name, help, labelNames: [...labels], buckets: [...bucketsSeconds], registers: [registry] }),
    expose: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
