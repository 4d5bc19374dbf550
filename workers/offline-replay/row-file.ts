// The per-plan results of a replay as one Parquet file, for whoever asks why the figures are what they are.
import { scoreNames } from '#domain/offline-evaluation/plan-quality.ts';
import type { AssessedAnswer, ReplayedPlan } from '#domain/offline-evaluation/replayed-plan.ts';
import { toCanonicalJson } from '#domain/planning/canonical-json.ts';
import { createParquetTable, type ParquetColumn, type ParquetValue } from '#platform/parquet/parquet-table.ts';

const answerColumns = ['plan', 'scores', 'avoidable_violations', 'interventions'] as const;

/** What is JSON is canonical JSON. */
export const replayColumns: readonly ParquetColumn[] = [
  'plan_id',
  'household_id',
  'mode',
  'workflow_type',
  'region',
  'final_plan',
  'edited_slots',
  ...['model', 'baseline'].flatMap((planner) => answerColumns.map((name) => `${planner}_${name}`)),
  'model_unconstrained_plan',
  'model_unconstrained_scores',
  'model_latency_ms',
].map((name) => ({ name, type: 'text' }));

/** One row per plan, in the order of the dataset. */
export async function makeRowFile(
  plans: readonly ReplayedPlan[],
  metadata: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  await using table = await createParquetTable({ columns: replayColumns, metadata });
  for (const plan of plans) table.append(toValues(plan));
  return table.finish();
}

function toValues({ request, model, baseline, ...plan }: ReplayedPlan): ParquetValue[] {
  return [
    plan.planId,
    plan.householdId,
    request.mode,
    request.workflow_type,
    request.household.region,
    plan.finalPlan === null ? null : toCanonicalJson(plan.finalPlan),
    plan.editedSlots === null ? null : toCanonicalJson(plan.editedSlots),
    ...answerValues(model),
    ...answerValues(baseline),
    toCanonicalJson(model.unconstrainedPlan),
    toScoreText(model.unconstrainedQuality),
    model.latencyMs === null ? null : String(model.latencyMs),
  ];
}

function answerValues({ plan, quality, interventions }: AssessedAnswer): string[] {
  return [
    toCanonicalJson(plan),
    toScoreText(quality),
    toCanonicalJson(quality.avoidableViolations),
    String(interventions),
  ];
}

const toScoreText = ({ scores }: AssessedAnswer['quality']): string =>
  toCanonicalJson(Object.fromEntries(scoreNames.map((name) => [name, scores[name]])));
