// The sink of the group as its processes run it, with erasure around it.
import { createErasedUnitLookup, withErasure } from '#consumers/erasure.ts';
import type { SettingsOf } from '#platform/config/settings.ts';
import type { Sink } from '#platform/kafka/sink.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { datasetBuilderConfig } from './config.ts';
import { createTrainingRowsSink } from './sink.ts';

type GroupSinkConfig = Pick<SettingsOf<(typeof datasetBuilderConfig)['shape']>, 'erasure'>;

export function createGroupSink(config: GroupSinkConfig, pool: Pool): Sink<EventRecord> {
  return withErasure(createTrainingRowsSink(), {
    pool,
    erasedUnits: createErasedUnitLookup(config.erasure.key),
    mode: 'leave-out',
  });
}
