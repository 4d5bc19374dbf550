// Writes plan events to exp.training_rows: both sides of a plan are paired in Postgres, in whichever order they arrive.
import type { Sink } from '#platform/kafka/sink.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { type PlacedGenerated, type PlanBatch, toPlanBatch, toReactionRow, toTrainingRow } from './transform.ts';

const generatedColumns = [
  'household_id',
  'experiments',
  'policy_version_id',
  'policy',
  'generated_event_id',
  'generated_at',
  'generated_partition',
  'generated_offset',
  'requested_at',
  'request',
  'plan',
  'action_propensities',
];
const reactionColumns = [
  'reaction_event_id',
  'reaction',
  'reacted_at',
  'reaction_partition',
  'reaction_offset',
  'final_plan',
  'edited_slots',
];

const takesGenerated = `excluded.generated_at IS NOT NULL AND (t.generated_at IS NULL
  OR (excluded.generated_at, excluded.generated_event_id) < (t.generated_at, t.generated_event_id))`;
const takesReaction = `excluded.reacted_at IS NOT NULL AND (t.reacted_at IS NULL
  OR (excluded.reacted_at, excluded.reaction_event_id) > (t.reacted_at, t.reaction_event_id))`;

const assign = (columns: readonly string[], condition: string) =>
  columns.map((column) => `${column} = CASE WHEN ${condition} THEN excluded.${column} ELSE t.${column} END`);

const columns = ['plan_id', 'model_name', ...generatedColumns, ...reactionColumns].join(', ');

/**
 * The same choices as in domain/dataset/pair-plan-events.ts, against what is stored. Rows come in order of plan id, so that
 * members which write the same plans wait for each other instead of deadlocking. A row that changes nothing is not
 * rewritten, but locked like one.
 */
const upsertRows = `
  INSERT INTO exp.training_rows AS t (${columns})
  SELECT ${columns}
  FROM jsonb_to_recordset($1::jsonb) AS r (plan_id uuid, model_name text, household_id text, experiments jsonb,
    policy jsonb, generated_event_id uuid, generated_at timestamptz, generated_partition integer, generated_offset bigint,
    requested_at timestamptz, request jsonb, plan jsonb, action_propensities jsonb, reaction_event_id uuid,
    reaction text, reacted_at timestamptz, reaction_partition integer, reaction_offset bigint, final_plan jsonb,
    edited_slots jsonb)
  LEFT JOIN LATERAL (
    SELECT (v.config ->> 'policy_version_id')::uuid AS policy_version_id
    FROM jsonb_array_elements(r.experiments) WITH ORDINALITY AS named (ref, place)
    JOIN exp.variants v ON v.id = (ref ->> 'variant_id')::uuid AND v.experiment_id = (ref ->> 'experiment_id')::uuid
    WHERE v.config ->> 'policy_version_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    ORDER BY named.place LIMIT 1
  ) AS configured ON true
  ORDER BY plan_id
  ON CONFLICT (plan_id) DO UPDATE SET
    ${[...assign(generatedColumns, takesGenerated), ...assign(reactionColumns, takesReaction)].join(',\n    ')},
    updated_at = now()
  WHERE (${takesGenerated}) OR (${takesReaction})`;

const insertReactions = `
  INSERT INTO exp.plan_reactions (plan_id, reacted_at, event_id, reaction, final_plan, edited_slots, kafka_partition, kafka_offset)
  SELECT plan_id, reacted_at, event_id, reaction, final_plan, edited_slots, kafka_partition, kafka_offset
  FROM jsonb_to_recordset($1::jsonb) AS r (plan_id uuid, reacted_at timestamptz, event_id uuid, reaction text,
    final_plan jsonb, edited_slots jsonb, kafka_partition integer, kafka_offset bigint)
  ON CONFLICT DO NOTHING`;

/** How many of these plan_generated events are the stored ones already. */
async function countStored(tx: PoolClient, generated: readonly PlacedGenerated[]): Promise<number> {
  const found = await tx.query<{ stored: number }>(
    `SELECT count(*)::int AS stored
     FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS asked (plan_id, event_id, event_time)
     JOIN exp.training_rows t ON t.plan_id = asked.plan_id
       AND t.generated_event_id = asked.event_id AND t.generated_at = asked.event_time`,
    [
      generated.map(({ planId }) => planId),
      generated.map(({ eventId }) => eventId),
      generated.map(({ eventTimeMs }) => new Date(eventTimeMs).toISOString()),
    ],
  );
  return found.rows[0]?.stored ?? 0;
}

async function writePlans(tx: PoolClient, batch: PlanBatch): Promise<number> {
  if (batch.plans.length === 0) return 0;
  let duplicates = batch.generated.length === 0 ? 0 : await countStored(tx, batch.generated);
  await tx.query(upsertRows, [JSON.stringify(batch.plans.map(toTrainingRow))]);
  if (batch.reactions.length === 0) return duplicates;
  // After the rows: whoever inserts a reaction holds the lock of its plan.
  const inserted = await tx.query(insertReactions, [JSON.stringify(batch.reactions.map(toReactionRow))]);
  duplicates += batch.reactions.length - (inserted.rowCount ?? 0);
  return duplicates;
}

/**
 * `written` means that the effect of the record, if it has any, is durable: events of other types have none, and neither
 * has a plan_generated that is not the earliest of its plan.
 */
export function createTrainingRowsSink(): Sink<EventRecord> {
  return {
    write: async (tx, { records }) => {
      const batch = toPlanBatch(records);
      // Commit point: rows and reactions become visible with the offset, in the runner's transaction.
      const duplicates = batch.repeats + (await writePlans(tx, batch));
      return { written: records.length - batch.rejected.length - duplicates, duplicates, rejected: batch.rejected };
    },
  };
}
