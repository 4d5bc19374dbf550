// Valid sample events for tests; change what a test is about.
import { randomUUID } from 'node:crypto';
import type { Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export const sampleExperiment = {
  id: '5b7f3b0e-1a55-5d0c-9c1e-000000000001',
  variants: ['5b7f3b0e-1a55-5d0c-9c1e-00000000000a', '5b7f3b0e-1a55-5d0c-9c1e-00000000000b'],
} as const;

/** The experiment of the sample events, as a service would have stored it; it takes its exposures from its events. */
export async function storeSampleExperiment(pool: Pool): Promise<void> {
  const { id, variants } = sampleExperiment;
  await pool.query(
    `INSERT INTO exp.experiments (id, key, name, unit_type, status, exposure) VALUES ($1, 'sample', 'Sample', 'user', 'running', 'implicit')`,
    [id],
  );
  await pool.query(
    `INSERT INTO exp.variants (id, experiment_id, name, allocation, position)
     SELECT v, $1, v::text, 5000, p FROM unnest($2::uuid[]) WITH ORDINALITY AS t (v, p)`,
    [id, variants],
  );
}

/** A complete event with a random id; `change` overrides fields. */
export function sampleEvent(change: Partial<EventRecord> = {}): EventRecord {
  return {
    event_id: randomUUID(),
    event_type: 'purchase',
    unit_type: 'user',
    unit_id: 'unit-1',
    experiments: [{ experiment_id: sampleExperiment.id, variant_id: sampleExperiment.variants[0] }],
    context: { country: 'DE', premium: true },
    metrics: { revenue: 12.5 },
    payload: null,
    event_time: Date.UTC(2026, 9, 1, 12),
    ingest_time: Date.UTC(2026, 9, 1, 12, 0, 1),
    producer: 'test',
    ...change,
  };
}
