// Turns a batch of events into what the sink writes: one row per plan, every reaction, and the events that cannot be used; pure.
import { type PairedPlan, pairPlanEvents } from '#domain/dataset/pair-plan-events.ts';
import { type GeneratedPlan, type PlanReaction, parsePlanEvent } from '#domain/dataset/parse-plan-event.ts';
import { plannerModelName } from '#domain/dataset/planner-dataset.ts';
import type { DecodedRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

type Position = { readonly partition: number; readonly offset: bigint };
export type PlacedGenerated = GeneratedPlan & Position;
export type PlacedReaction = PlanReaction & Position;

export type PlanBatch = {
  readonly plans: readonly PairedPlan<PlacedGenerated, PlacedReaction>[];
  readonly generated: readonly PlacedGenerated[];
  readonly reactions: readonly PlacedReaction[];
  /** Repeats within the batch of an event that is in it. */
  readonly repeats: number;
  readonly rejected: readonly RejectedRecord[];
  /** Events of other types: nothing to do. */
  readonly others: number;
};

/** Sorts the events of a batch by what has to be done with them; each ends in exactly one place. */
export function toPlanBatch(records: readonly DecodedRecord<EventRecord>[]): PlanBatch {
  const rejected: RejectedRecord[] = [];
  const generated: PlacedGenerated[] = [];
  const reactions: PlacedReaction[] = [];
  const seen = new Set<string>();
  let repeats = 0;
  let others = 0;
  for (const { record, value } of records) {
    const parsed = parsePlanEvent(value);
    if (!parsed.ok) {
      rejected.push({
        record,
        rejection: {
          stage: 'sink',
          reason: 'rule-violated',
          error: `${parsed.path} ${parsed.message}`,
          eventId: value.event_id,
          experimentIds: value.experiments.map((ref) => ref.experiment_id),
        },
      });
      continue;
    }
    const { event } = parsed;
    if (event === null) {
      others += 1;
      continue;
    }
    const identity = `${event.kind}/${event.planId}/${event.eventTimeMs}/${event.eventId}`;
    if (seen.has(identity)) {
      repeats += 1;
      continue;
    }
    seen.add(identity);
    const position = { partition: record.partition, offset: record.offset };
    if (event.kind === 'generated') generated.push({ ...event, ...position });
    else reactions.push({ ...event, ...position });
  }
  const plans = pairPlanEvents<PlacedGenerated, PlacedReaction>([...generated, ...reactions]);
  return { plans, generated, reactions, repeats, rejected, others };
}

/** A row of exp.training_rows as jsonb_to_recordset reads it; the columns of an absent side are null. */
export function toTrainingRow({ planId, generated, reaction }: PlanBatch['plans'][number]) {
  return {
    plan_id: planId,
    model_name: plannerModelName,
    household_id: generated?.payload.request.household.household_id ?? null,
    experiments: generated?.experiments ?? null,
    policy: generated?.payload.policy ?? null,
    generated_event_id: generated?.eventId ?? null,
    generated_at: generated === null ? null : new Date(generated.eventTimeMs).toISOString(),
    generated_partition: generated?.partition ?? null,
    generated_offset: generated?.offset.toString() ?? null,
    requested_at: generated?.payload.request.requested_at ?? null,
    request: generated?.payload.request ?? null,
    plan: generated?.payload.plan ?? null,
    action_propensities: generated?.payload.choices ?? null,
    reaction_event_id: reaction?.eventId ?? null,
    reaction: reaction?.reaction ?? null,
    reacted_at: reaction === null ? null : new Date(reaction.eventTimeMs).toISOString(),
    reaction_partition: reaction?.partition ?? null,
    reaction_offset: reaction?.offset.toString() ?? null,
    final_plan: reaction?.payload.final_plan ?? null,
    edited_slots: reaction?.payload.edited_slots ?? null,
  };
}

/** A row of exp.plan_reactions as jsonb_to_recordset reads it. */
export function toReactionRow(reaction: PlacedReaction) {
  return {
    plan_id: reaction.planId,
    reacted_at: new Date(reaction.eventTimeMs).toISOString(),
    event_id: reaction.eventId,
    reaction: reaction.reaction,
    final_plan: reaction.payload.final_plan,
    edited_slots: reaction.payload.edited_slots,
    kafka_partition: reaction.partition,
    kafka_offset: reaction.offset.toString(),
  };
}
