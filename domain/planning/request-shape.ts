// The shape of a planning request: everything that a planner may know, frozen at the moment of asking, which is also the training input.

import { type Static, Type } from '@sinclair/typebox';
import { recipeFacets } from './recipe-facets.ts';
import { AllergenShape, DietShape, MealShape } from './recipe-shape.ts';

export const workflowTypes = ['weekly_plan', 'replan_day'] as const;
export const planningModes = ['standard', 'leftovers', 'savings'] as const;
export const regions = ['southern_europe', 'northern_europe', 'north_america', 'latin_america', 'asia'] as const;
export const cookingSkills = ['beginner', 'regular', 'keen'] as const;

const literals = <T extends string>(values: readonly T[], description?: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    description === undefined ? {} : { description },
  );
const closed = { additionalProperties: false } as const;

export const UuidShape = Type.String({ pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' });
export const CalendarDateShape = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$', description: 'YYYY-MM-DD' });
export const SlotIdShape = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}/(breakfast|lunch|dinner)$',
  description: 'date and meal, as in 2026-01-05/dinner',
});
const RecipeIdShape = Type.String({ minLength: 1 });

export const FacetShape = literals(recipeFacets);

export const HouseholdShape = Type.Object(
  {
    household_id: UuidShape,
    members: Type.Array(Type.Object({ age_group: literals(['adult', 'child'] as const) }, closed), { minItems: 1 }),
    region: literals(regions),
    cooking_skill: literals(cookingSkills),
    preferred_facets: Type.Array(FacetShape, {
      description: 'what the household says it likes; may be empty or incomplete',
    }),
  },
  closed,
);
export type Household = Static<typeof HouseholdShape>;

export const PantryItemShape = Type.Object(
  {
    ingredient: Type.String({ minLength: 1, description: 'canonical name of the lexicon' }),
    use_by: Type.Union([CalendarDateShape, Type.Null()], {
      description: 'last day it should be used; null where it keeps',
    }),
  },
  closed,
);
export type PantryItem = Static<typeof PantryItemShape>;

export const ConstraintShape = Type.Union([
  Type.Object({ kind: Type.Literal('allergy'), allergen: AllergenShape }, closed),
  Type.Object({ kind: Type.Literal('diet'), diet: DietShape }, closed),
  Type.Object({ kind: Type.Literal('exclude_ingredient'), ingredient: Type.String({ minLength: 1 }) }, closed),
  Type.Object(
    {
      kind: Type.Literal('max_minutes'),
      days: literals(['weekday', 'weekend'] as const),
      minutes: Type.Integer({ minimum: 1 }),
    },
    closed,
  ),
  Type.Object({ kind: Type.Literal('budget'), usd_per_day: Type.Number({ exclusiveMinimum: 0 }) }, closed),
  Type.Object({ kind: Type.Literal('max_uses'), count: Type.Integer({ minimum: 1 }) }, closed),
]);
export type Constraint = Static<typeof ConstraintShape>;

export const RequestSlotShape = Type.Object(
  {
    slot_id: SlotIdShape,
    date: CalendarDateShape,
    meal: MealShape,
    servings: Type.Integer({ minimum: 1, description: 'people who eat' }),
    candidates: Type.Array(RecipeIdShape, {
      description: 'recipes on offer for the slot, in an order that means nothing',
    }),
  },
  closed,
);
export type RequestSlot = Static<typeof RequestSlotShape>;

export const PreviousPlanShape = Type.Object(
  {
    plan_id: UuidShape,
    outcome: literals(['accepted', 'edited', 'no_answer'] as const),
    slots: Type.Array(
      Type.Object(
        {
          slot_id: SlotIdShape,
          recipe_id: RecipeIdShape,
          replaced_recipe_id: Type.Union([RecipeIdShape, Type.Null()], {
            description: 'what had been planned, where the household replaced it by recipe_id',
          }),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type PreviousPlan = Static<typeof PreviousPlanShape>;

export const PlanRequestShape = Type.Object(
  {
    request_version: Type.Literal(1),
    workflow_type: literals(workflowTypes, 'weekly_plan fills seven days; replan_day asks again for slots of one day'),
    mode: literals(planningModes, 'what matters most this time; changes the weights of plan_alignment_score'),
    requested_at: Type.String({ description: 'ISO 8601, UTC, with Z' }),
    household: HouseholdShape,
    pantry: Type.Array(PantryItemShape),
    constraints: Type.Array(ConstraintShape),
    slots: Type.Array(RequestSlotShape, { minItems: 1 }),
    previous_plan: Type.Union([PreviousPlanShape, Type.Null()]),
  },
  { additionalProperties: false, $id: 'planning/request' },
);
export type PlanRequest = Static<typeof PlanRequestShape>;
export type WorkflowType = PlanRequest['workflow_type'];
export type PlanningMode = PlanRequest['mode'];
export type Region = Household['region'];
export type CookingSkill = Household['cooking_skill'];
