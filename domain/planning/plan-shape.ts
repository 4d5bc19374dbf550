// The shape of a plan, of the choices logged with it, and of the event payloads that carry them.

import { type Static, Type } from '@sinclair/typebox';
import { MealShape } from './recipe-shape.ts';
import { CalendarDateShape, PlanRequestShape, SlotIdShape, UuidShape } from './request-shape.ts';

const closed = { additionalProperties: false } as const;

export const PlanSlotShape = Type.Object(
  {
    slot_id: SlotIdShape,
    date: CalendarDateShape,
    meal: MealShape,
    recipe_id: Type.String({ minLength: 1 }),
    servings: Type.Integer({ minimum: 1 }),
  },
  closed,
);
export type PlanSlot = Static<typeof PlanSlotShape>;

/** A plan: at most one recipe for each slot of the request. A slot that nothing safe can fill is left out. */
export const PlanShape = Type.Object(
  { plan_version: Type.Literal(1), slots: Type.Array(PlanSlotShape) },
  { additionalProperties: false, $id: 'planning/plan' },
);
export type Plan = Static<typeof PlanShape>;

/** How one slot was filled, for off-policy evaluation. */
export const SlotChoiceShape = Type.Object(
  {
    slot_id: SlotIdShape,
    recipe_id: Type.Union([Type.String({ minLength: 1 }), Type.Null()], { description: 'null: the slot stayed open' }),
    source: Type.Union([Type.Literal('policy'), Type.Literal('validator')], {
      description:
        'validator: the policy chose something else, and it was replaced because it broke a rule or the budget',
    }),
    propensities: Type.Array(Type.Number({ minimum: 0, maximum: 1 }), {
      description:
        "the policy's probability of each candidate, in the order of the request's candidates, given the slots before; sums to 1, or all 0 where none was allowed. Of a model: what it thinks of each candidate, allowed or not",
    }),
    action_propensity: Type.Union([Type.Number({ exclusiveMinimum: 0, maximum: 1 }), Type.Null()], {
      description:
        'propensity of recipe_id; null where the validator chose, the slot stayed open, or the policy takes its best and never draws',
    }),
  },
  closed,
);
export type SlotChoice = Static<typeof SlotChoiceShape>;

/** What made the plan. `name` is the planner that really did, also where another one was meant to. */
export const PlanPolicyShape = Type.Object(
  {
    name: Type.String({ minLength: 1, description: 'rule-based, or the name of a model' }),
    temperature: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'of a planner that draws' })),
    policy_version: Type.Optional(Type.String({ description: 'the policy version that was meant, such as planner@2' })),
    policy_version_id: Type.Optional(UuidShape),
    model: Type.Optional(Type.String({ description: 'the model version that was meant, such as planner_model/3' })),
    fallback_reason: Type.Optional(
      Type.String({ description: 'why the rules made the plan although another planner was meant to' }),
    ),
  },
  closed,
);
export type PlanPolicy = Static<typeof PlanPolicyShape>;

export const PlanGeneratedPayloadShape = Type.Object(
  {
    plan_id: UuidShape,
    request: PlanRequestShape,
    plan: PlanShape,
    choices: Type.Array(SlotChoiceShape),
    policy: PlanPolicyShape,
  },
  { additionalProperties: false, $id: 'planning/plan-generated-payload' },
);
export type PlanGeneratedPayload = Static<typeof PlanGeneratedPayloadShape>;

/** Payload of plan_accepted and plan_edited: the plan as the household will cook it. */
export const PlanFeedbackPayloadShape = Type.Object(
  {
    plan_id: UuidShape,
    final_plan: PlanShape,
    edited_slots: Type.Array(SlotIdShape, { description: 'empty for plan_accepted' }),
  },
  { additionalProperties: false, $id: 'planning/plan-feedback-payload' },
);
export type PlanFeedbackPayload = Static<typeof PlanFeedbackPayloadShape>;
