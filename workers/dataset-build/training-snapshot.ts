// Reads the training rows of a dataset from one consistent snapshot of Postgres, page by page.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Enrichment } from '#domain/dataset/enrichment.ts';
import type { PlanFeedbackPayload, PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import type { RecipeRow } from '#domain/planning/temporal-rows.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import { readRecipes } from '#producers/planner-tables/recipe-rows.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

/** A row of training-snapshot.sql; times are microseconds since 1970. */
export type SnapshotRow = {
  readonly plan_id: string;
  readonly household_id: string;
  readonly experiments: EventRecord['experiments'];
  readonly policy_version_id: string | null;
  readonly policy: PlanGeneratedPayload['policy'];
  readonly generated_event_id: string;
  readonly generated_at_micros: bigint;
  readonly generated_partition: number;
  readonly generated_offset: bigint;
  readonly requested_at_micros: bigint;
  readonly request: PlanGeneratedPayload['request'];
  readonly plan: PlanGeneratedPayload['plan'];
  readonly action_propensities: PlanGeneratedPayload['choices'];
  readonly reaction: 'accepted' | 'edited' | null;
  readonly reaction_event_id: string | null;
  readonly reacted_at_micros: bigint | null;
  readonly reaction_partition: number | null;
  readonly reaction_offset: bigint | null;
  readonly final_plan: PlanFeedbackPayload['final_plan'] | null;
  readonly edited_slots: PlanFeedbackPayload['edited_slots'] | null;
  readonly enrichment: Enrichment;
};

/** Where the dataset-builder group stood in the log: everything before `next_offset` is in the snapshot. */
export type ConsumerPosition = {
  readonly consumer_group: string;
  readonly topic: string;
  readonly topic_id: string;
  readonly partition: number;
  readonly next_offset: number;
};

const rowsPerPage = 500;

export type SnapshotOptions = {
  readonly modelName: string;
  readonly labelCutoff: Date;
  /** Plans generated in [from, to); without bounds when absent. */
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
};

/** What the snapshot says before its rows: all recipes, and when the first and the last plan were generated. */
export type SnapshotStart = {
  readonly recipes: readonly RecipeRow[];
  readonly range: { readonly firstMicros: bigint; readonly lastMicros: bigint };
};

const rangeQuery = `SELECT (extract(epoch FROM min(generated_at)) * 1000000)::bigint AS first,
    (extract(epoch FROM max(generated_at)) * 1000000)::bigint AS last
  FROM exp.training_rows
  WHERE request IS NOT NULL AND model_name = $2 AND generated_at < least($1, $4::timestamptz) AND generated_at >= $3`;

/** Hands the start and then every row, in the fixed order, to the callbacks; returns the group's positions of the same snapshot. */
export async function readTrainingSnapshot(
  client: PoolClient,
  options: SnapshotOptions & { onStart: (start: SnapshotStart) => void; onRow: (row: SnapshotRow) => void },
): Promise<ConsumerPosition[]> {
  const query = await readFile(join(import.meta.dirname, 'training-snapshot.sql'), 'utf8');
  const bounds = [
    options.labelCutoff.toISOString(),
    options.modelName,
    options.from?.toISOString() ?? '-infinity',
    options.to?.toISOString() ?? 'infinity',
  ];
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    const recipes = await readRecipes(client);
    const range = await client.query<{ first: bigint | null; last: bigint | null }>(rangeQuery, bounds);
    options.onStart({
      recipes,
      range: { firstMicros: range.rows[0]?.first ?? 0n, lastMicros: range.rows[0]?.last ?? 0n },
    });
    await client.query(`DECLARE snapshot NO SCROLL CURSOR FOR ${query}`, bounds);
    for (;;) {
      const { rows } = await client.query<SnapshotRow>(`FETCH ${rowsPerPage} FROM snapshot`);
      for (const row of rows) options.onRow(row);
      if (rows.length < rowsPerPage) break;
    }
    // A namespace stands before the name of the group.
    const positions = await client.query<ConsumerPosition & { next_offset: bigint }>(
      `SELECT consumer_group, topic, topic_id, kafka_partition AS partition, next_offset FROM exp.consumer_offsets
       WHERE consumer_group = 'dataset-builder' OR consumer_group LIKE '%.dataset-builder'
       ORDER BY consumer_group COLLATE "C", topic COLLATE "C", kafka_partition`,
    );
    return positions.rows.map((row) => ({ ...row, next_offset: Number(row.next_offset) }));
  } finally {
    await client.query('ROLLBACK');
  }
}
