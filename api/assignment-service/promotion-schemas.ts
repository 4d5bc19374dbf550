// Bodies and answers of the promotion routes, in the spelling of the wire; shares are decimals.
import { type Static, Type } from '@sinclair/typebox';
import { closed, oneOfTexts, shortText } from '#domain/definitions/schema-parts.ts';
import { defaultRampPlan } from '#domain/promotion/ramp-plan.ts';
import { defaultPromotionMetrics } from '#producers/promotion-store/start-promotion.ts';

const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });
const reason = Type.String({ minLength: 1, maxLength: 2_048, description: 'Why, for the ledger' });
const force = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 2_048, description }));

export const startPromotionSchema = Type.Object(
  {
    model: Type.String({
      pattern: '^.+/[1-9][0-9]{0,8}$',
      description: 'Registered model version, such as planner_model/3',
    }),
    policy: shortText('Policy whose next version it becomes'),
    reason,
    steps: Type.Optional(
      Type.Array(share('Share of traffic of the candidate'), {
        minItems: 1,
        maxItems: 100,
        description: `Rising, the first at most 0.1; ${defaultRampPlan.steps.map((step) => step / 10_000).join(', ')} when absent`,
      }),
    ),
    hold_above: Type.Optional(
      Type.Union([share('A person approves more than this share; 0.1 when absent'), Type.Null()], {
        description: 'null: nobody has to approve',
      }),
    ),
    min_units: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: `New units of each variant before the next step; ${defaultRampPlan.minUnits}`,
      }),
    ),
    min_seconds: Type.Optional(
      Type.Integer({ minimum: 0, description: `Least time in a step; ${defaultRampPlan.minSeconds}` }),
    ),
    experiment: Type.Optional(shortText('Key of its experiment; POLICY-promotion when absent')),
    unit_type: Type.Optional(shortText('What is randomized; household when absent')),
    primary: Type.Optional(shortText(`Metric of the goal; ${defaultPromotionMetrics.primary} when absent`)),
    guardrails: Type.Optional(
      Type.Array(
        Type.Object(
          {
            metric: shortText('Metric'),
            direction: Type.Optional(oneOfTexts(['increase', 'decrease'], 'The direction that is harmful')),
            bound: Type.Optional(Type.Number({ minimum: 0, description: 'The largest harm that is accepted' })),
          },
          closed,
        ),
        { maxItems: 100, description: 'slow_plans and acceptance_rate when absent' },
      ),
    ),
    guardrail_units: Type.Optional(
      Type.Integer({ minimum: 2, description: 'Units of each variant before a guardrail is judged; 100' }),
    ),
    params: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'In the config_defaults of its policy version, beside those of the version in production',
      }),
    ),
    force: force('Why it starts although no replay has passed it; recorded. A failed gate cannot be forced'),
  },
  closed,
);
export type StartPromotionBody = Static<typeof startPromotionSchema>;

export const reasonSchema = Type.Object({ reason }, closed);
export const finishPromotionSchema = Type.Object(
  { reason, force: force('Why it is finished although the ramp is not at its end; recorded') },
  closed,
);

export const promotionParamsSchema = Type.Object({
  experiment: Type.String({
    minLength: 1,
    maxLength: 256,
    description: 'Key of the latest promotion, or id of one iteration',
  }),
});

const mlflowSchema = Type.Object({
  status: oneOfTexts(['in line', 'behind'], 'Whether alias and tags say what Postgres has decided'),
  changed: Type.Optional(Type.Array(Type.String())),
  reason: Type.Optional(Type.String()),
});

const promotionProperties = {
  experiment_key: Type.String(),
  experiment_id: Type.String(),
  iteration: Type.Integer(),
  experiment_version: Type.Integer(),
  state: oneOfTexts(['running', 'finished', 'rolled-back']),
  policy_version_id: Type.String(),
  policy_version: Type.String({ description: 'Such as planner@2' }),
  model: Type.String({ description: 'Such as planner_model/3' }),
  control_policy_version: Type.String(),
  control_model: Type.String(),
  candidate_share: share('Of traffic, now'),
  steps: Type.Array(Type.Number()),
  hold_above: Type.Union([Type.Number(), Type.Null()]),
  approved: Type.Boolean(),
  min_units: Type.Integer(),
  min_seconds: Type.Integer(),
  variants: Type.Object({ control: Type.String(), candidate: Type.String() }, { description: 'Ids' }),
  started_at: Type.Union([Type.String(), Type.Null()]),
  started_by: Type.Union([Type.String(), Type.Null()]),
};

export const changedPromotionSchema = Type.Object({ ...promotionProperties, mlflow: mlflowSchema });

const lookProperties = {
  ...promotionProperties,
  decision: oneOfTexts(['step', 'wait', 'hold', 'rolled-back', 'done'], 'Of this look; for a GET, of the next one'),
  reasons: Type.Array(Type.String()),
  units: Type.Union([Type.Object({ control: Type.Integer(), candidate: Type.Integer() }), Type.Null()], {
    description: 'That met their variant in this step',
  }),
  seconds_in_step: Type.Union([Type.Integer(), Type.Null()]),
  guardrails: Type.Array(
    Type.Object({
      metric: Type.String(),
      state: oneOfTexts(['holds', 'open', 'broken', 'unknown']),
      text: Type.String(),
    }),
  ),
};
export const lookSchema = Type.Object(lookProperties);
export const lookListSchema = Type.Object({ promotions: Type.Array(lookSchema) });
export const promotionWithLedgerSchema = Type.Object({
  ...lookProperties,
  ledger: Type.Array(Type.Object({}, { additionalProperties: true, description: 'A row of exp.promotions' })),
});
