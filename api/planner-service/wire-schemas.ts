// Request and response bodies of the service; OpenAPI, validation and TypeScript types follow from these.
import { type Static, Type } from '@sinclair/typebox';
import { PlanShape } from '#domain/planning/plan-shape.ts';
import { MealShape } from '#domain/planning/recipe-shape.ts';
import { CalendarDateShape, PlanRequestShape, PreviousPlanShape, UuidShape } from '#domain/planning/request-shape.ts';

const closed = { additionalProperties: false } as const;
/** Without its id: a schema of that name would be compiled twice. */
const { $id: _, ...planShape } = PlanShape;
const { workflow_type, mode } = PlanRequestShape.properties;

/** With these bounds, and that of the body, the event about a plan is never larger than the ingestion service takes. */
export const maxSlots = 50;
export const maxCandidates = 50;
export const bodyBytes = 256 * 1024;
const maxRecipeIdLength = 200;

const recipeIdSchema = Type.String({ minLength: 1, maxLength: maxRecipeIdLength });
const { plan_id, outcome, slots: previousSlots } = PreviousPlanShape.properties;
const { slot_id } = previousSlots.items.properties;
const previousPlanSchema = Type.Object(
  {
    plan_id,
    outcome,
    slots: Type.Array(
      Type.Object(
        {
          slot_id,
          recipe_id: recipeIdSchema,
          replaced_recipe_id: Type.Union([recipeIdSchema, Type.Null()], {
            description: 'what had been planned, where the household replaced it by recipe_id',
          }),
        },
        closed,
      ),
      { maxItems: maxSlots },
    ),
  },
  closed,
);

export const planBodySchema = Type.Object(
  {
    household_id: UuidShape,
    plan_id: Type.Optional(
      Type.String({
        ...UuidShape,
        description:
          'Lower-case UUID; a new one when absent. A repetition with the same id gives the same plan of the rules and counts once: its events have the same ids, and where their content differs, as latency does, they end as dead letters',
      }),
    ),
    request: Type.Object(
      {
        workflow_type,
        mode,
        requested_at: Type.Optional(
          Type.String({
            pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,3})?Z$',
            description:
              'ISO 8601 in UTC, with Z: what the household had at that time counts, and the events get it; at most EVENT_TIME_MAX_AHEAD_MS ahead; now when absent',
          }),
        ),
        slots: Type.Array(
          Type.Object(
            {
              date: CalendarDateShape,
              meal: MealShape,
              servings: Type.Integer({ minimum: 1, maximum: 100, description: 'people who eat' }),
              candidates: Type.Optional(
                Type.Array(recipeIdSchema, {
                  minItems: 1,
                  maxItems: maxCandidates,
                  uniqueItems: true,
                  description: 'recipes on offer; drawn from the catalogue when absent',
                }),
              ),
            },
            closed,
          ),
          { minItems: 1, maxItems: maxSlots },
        ),
        previous_plan: Type.Optional(Type.Union([previousPlanSchema, Type.Null()])),
      },
      closed,
    ),
  },
  closed,
);
export type PlanBody = Static<typeof planBodySchema>;

const nullableText = (description: string) => Type.Unsafe<string | null>({ type: ['string', 'null'], description });

export const planAnswerSchema = Type.Object({
  plan_id: Type.String(),
  plan: Type.Unsafe<Static<typeof PlanShape>>(planShape),
  request: Type.Unsafe<Static<typeof PlanRequestShape>>({
    type: 'object',
    additionalProperties: true,
    description: 'The request as it is logged: docs/planning.md',
  }),
  assignment: Type.Unsafe<{ experiment_key: string; variant_name: string } | null>({
    type: ['object', 'null'],
    additionalProperties: true,
    description: 'experiment_key and variant_name of the variant that decided; null when none did',
  }),
  experiments: Type.Array(
    Type.Object({ experiment_id: Type.String(), variant_id: Type.String(), variant_name: Type.String() }),
    { description: 'What events about this plan belong to: send them with its accept or edit' },
  ),
  policy_version: nullableText('The version that was meant, such as planner@2'),
  model: nullableText('The model version that was meant; null for the rules'),
  planner: Type.String({ description: 'What made the plan: rule-based, or the model version' }),
  latency_ms: Type.Number(),
  cost_usd: Type.Number(),
  interventions: Type.Integer({ description: 'Slots that the validator replaced' }),
  fallback_reason: nullableText('Why it was not made as it was meant to be'),
});
export type PlanAnswer = Static<typeof planAnswerSchema>;
