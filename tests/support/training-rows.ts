// Training rows as the dataset-builder leaves them, written at once from simulated traffic; its own tests show that it does.
import type { PlanFeedbackPayload, PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { EventBody } from '#producers/workload-client/workload-port.ts';

const partitionCount = 12;

const insertRows = `INSERT INTO exp.training_rows (plan_id, model_name, household_id, experiments, policy, generated_event_id,
    generated_at, generated_partition, generated_offset, requested_at, request, plan, action_propensities)
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS r (plan_id uuid, model_name text, household_id text, experiments jsonb,
    policy jsonb, generated_event_id uuid, generated_at timestamptz, generated_partition integer, generated_offset bigint,
    requested_at timestamptz, request jsonb, plan jsonb, action_propensities jsonb)`;

const insertReactions = `INSERT INTO exp.plan_reactions (plan_id, reacted_at, event_id, reaction, final_plan, edited_slots,
    kafka_partition, kafka_offset)
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS r (plan_id uuid, reacted_at timestamptz, event_id uuid, reaction text,
    final_plan jsonb, edited_slots jsonb, kafka_partition integer, kafka_offset bigint)`;

const rowsPerStatement = 500;

/** Offsets are the positions of the events in `traffic`, spread over the partitions. */
export async function writeTrainingRows(pool: Pool, traffic: readonly EventBody[]): Promise<void> {
  const rows: object[] = [];
  const reactions: object[] = [];
  for (const [index, event] of traffic.entries()) {
    if (event.event_type === 'plan_generated') {
      const { plan_id, request, plan, choices, policy } = event.payload as PlanGeneratedPayload;
      rows.push({
        plan_id,
        model_name: 'planner',
        household_id: request.household.household_id,
        experiments: event.experiments,
        policy,
        generated_event_id: event.event_id,
        generated_at: event.timestamp,
        generated_partition: index % partitionCount,
        generated_offset: index,
        requested_at: request.requested_at,
        request,
        plan,
        action_propensities: choices,
      });
    } else if (event.event_type === 'plan_accepted' || event.event_type === 'plan_edited') {
      const { plan_id, final_plan, edited_slots } = event.payload as PlanFeedbackPayload;
      reactions.push({
        plan_id,
        reacted_at: event.timestamp,
        event_id: event.event_id,
        reaction: event.event_type.slice('plan_'.length),
        final_plan,
        edited_slots,
        kafka_partition: index % partitionCount,
        kafka_offset: index,
      });
    }
  }
  for (const [statement, values] of [
    [insertRows, rows],
    [insertReactions, reactions],
  ] as const) {
    for (let from = 0; from < values.length; from += rowsPerStatement) {
      await pool.query(statement, [JSON.stringify(values.slice(from, from + rowsPerStatement))]);
    }
  }
}
