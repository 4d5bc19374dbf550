// The ingestion service over HTTP: single events beside the same route that only validates, batches beside the kafkajs producer alone.
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics, valueSubject } from '#schemas/topics.ts';
import type { ProduceOptions } from '../baselines/produce-alone.ts';
import { type Comparison, type Contender, runComparisons } from '../contenders.ts';
import type { Finding } from '../findings.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchStack } from '../support/bench-stack.ts';
import { eventsPerBatch, type TrafficName } from '../support/http-traffic.ts';
import { measureServer, warmUpMs } from '../support/server-run.ts';

export async function measureIngestion(
  bench: BenchStack,
  options: BenchOptions,
  onProgress: (text: string) => void,
): Promise<Finding[]> {
  const service = (traffic: TrafficName, name: string): Contender => ({
    name,
    unit: 'events',
    run: () => measureServer(bench, options, { traffic, process: 'ingestion-service' }),
  });
  const comparisons: Comparison[] = [];
  if (options.only.has('ingestion-single')) {
    comparisons.push({
      name: 'ingestion-single',
      subject: service('single-events', 'POST of single events'),
      baseline: {
        name: 'the same route, only validating',
        unit: 'events',
        run: () =>
          measureServer(bench, options, {
            traffic: 'single-events',
            process: 'ingestion-service',
            entry: 'bench/baselines/validate-only-service.ts',
          }),
      },
      bar: 0.5,
    });
  }
  if (options.only.has('ingestion-batch')) {
    comparisons.push({
      name: 'ingestion-batch',
      subject: service('batches-of-100', 'POST of batches of 100'),
      baseline: await produceContender(bench, options),
      bar: 0.6,
    });
  }
  return runComparisons(comparisons, { repetitions: options.repetitions, onProgress });
}

async function produceContender(bench: BenchStack, options: BenchOptions): Promise<Contender> {
  const registry = createSchemaRegistry({ url: bench.endpoints.schemaRegistry.url });
  const schema = loadRecordSchema(topics.events.valueSchema);
  const produce: ProduceOptions = {
    brokers: bench.endpoints.kafka.brokers,
    topic: bench.eventsTopic,
    schemaId: await registry.idOf(valueSubject(bench.eventsTopic), schema),
    recordsPerBatch: eventsPerBatch,
    concurrency: options.connections,
    warmUpMs,
    measureMs: options.seconds * 1_000,
  };
  return {
    name: 'kafkajs producer alone',
    unit: 'events',
    run: async () => {
      const output = await runOwnProgram('bench/baselines/produce-alone.ts', [JSON.stringify(produce)], {
        PATH: process.env.PATH ?? '',
      });
      const { perSecond, cpuMs, records } = JSON.parse(output) as { perSecond: number; cpuMs: number; records: number };
      return { perSecond, notes: { 'CPU µs/event': (cpuMs * 1_000) / records } };
    },
  };
}
