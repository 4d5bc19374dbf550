// Request and response bodies of the service; OpenAPI, validation and TypeScript types follow from these.
import { type Static, Type } from '@sinclair/typebox';
import { PlanShape } from '#domain/planning/plan-shape.ts';
import { MealShape } from '#domain/planning/recipe-shape.ts';
import { CalendarDateShape, PlanRequestShape, UuidShape } from '#domain/planning/request-shape.ts';

const closed = { additionalProperties: false } as const;
/** Without its id: a schema of that name would be compiled twice. */
const { $id: _, ...planShape } = PlanShape;
const { workflow_type, mode, previous_plan } = PlanRequestShape.properties;

export const maxSlots = 50;
export const maxCandidates = 50;

export const planBodySchema = Type.Object(
  {
    household_id: UuidShape,
    plan_id: Type.Optional(
      Type.String({
        ...UuidShape,
        description: 'Lower-case UUID. A repetition with the same id sends no second event; a new one when absent',
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
              'ISO 8601 in UTC, with Z: what the household had at that time counts, and the events get it; now when absent',
          }),
        ),
        slots: Type.Array(
          Type.Object(
            {
              date: CalendarDateShape,
              meal: MealShape,
              servings: Type.Integer({ minimum: 1, maximum: 100, description: 'people who eat' }),
              candidates: Type.Optional(
                Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
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
        previous_plan: Type.Optional(previous_plan),
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
