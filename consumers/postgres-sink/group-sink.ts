// The sink of the group as its processes run it, with erasure around it.
import { createErasedUnitLookup, withErasure } from '#consumers/erasure.ts';
import type { SettingsOf } from '#platform/config/settings.ts';
import type { Sink } from '#platform/kafka/sink.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { createAssignmentLookup } from './assignment-lookup.ts';
import type { postgresSinkConfig } from './config.ts';
import { createPostgresSink } from './sink.ts';

type GroupSinkConfig = Pick<SettingsOf<(typeof postgresSinkConfig)['shape']>, 'erasure'>;

export function createGroupSink(config: GroupSinkConfig, pool: Pool): Sink<EventRecord> {
  return withErasure(createPostgresSink({ pool, assignments: createAssignmentLookup() }), {
    pool,
    erasedUnits: createErasedUnitLookup(config.erasure.key),
    mode: 'pseudonymize',
  });
}
