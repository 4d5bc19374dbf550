// The sink of the group as its processes run it, with erasure around it.
import { createErasedUnitLookup, withErasure } from '#consumers/erasure.ts';
import type { SettingsOf } from '#platform/config/settings.ts';
import type { Sink } from '#platform/kafka/sink.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { createAggregateStore } from './aggregate-store-postgres.ts';
import type { metricsAggregatorConfig } from './config.ts';
import { createExposureRules } from './exposure-rules.ts';
import { createKnownExposures } from './known-exposures.ts';
import { createMetricsAggregatorSink } from './sink.ts';

type GroupSinkConfig = Pick<SettingsOf<(typeof metricsAggregatorConfig)['shape']>, 'erasure' | 'knownExposures'>;

export function createGroupSink(config: GroupSinkConfig, pool: Pool): Sink<EventRecord> {
  const sink = createMetricsAggregatorSink({
    pool,
    store: createAggregateStore({ consumerGroup: 'metrics-aggregator' }),
    exposureRules: createExposureRules({ pool, now: Date.now }),
    knownExposures: createKnownExposures(config.knownExposures.capacity),
  });
  return withErasure(sink, {
    pool,
    erasedUnits: createErasedUnitLookup(config.erasure.key),
    mode: 'pseudonymize',
  });
}
