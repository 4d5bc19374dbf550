// Request and response bodies of the service; OpenAPI, validation and TypeScript types follow from these.
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { errorSchema } from '#api/request-error.ts';
import { oneOfTexts, storableTextFormat } from '#domain/definitions/definition-body.ts';
import { experimentStatuses } from '#domain/experiment/experiment.ts';

const closed = { additionalProperties: false } as const;

export const maxImportItems = 5_000;

export const unitTypeSchema = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', examples: ['user'] });
export const unitIdSchema = Type.String({
  minLength: 1,
  maxLength: 256,
  format: storableTextFormat,
  description: 'Opaque: compared and hashed as it is, without any normalization',
  examples: ['user-42'],
});
const keyOrIdSchema = Type.String({ minLength: 1, maxLength: 128, format: storableTextFormat });
const versionSchema = Type.Integer({
  minimum: 1,
  maximum: 2_147_483_647,
  description: 'The version that the change was decided on; another present version refuses it',
});
const reasonSchema = Type.String({ minLength: 1, maxLength: 1_024, format: storableTextFormat });

export const assignmentRequestSchema = Type.Object(
  {
    unit_type: unitTypeSchema,
    unit_id: unitIdSchema,
    context: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Attributes for targeting' })),
    requested_experiments: Type.Optional(
      Type.Array(keyOrIdSchema, {
        maxItems: 200,
        description: 'Keys or ids; when absent, every experiment of the unit type that enrolls or delivers',
      }),
    ),
    enroll: Type.Optional(Type.Boolean({ description: 'false: answer without storing anything (default true)' })),
  },
  closed,
);
export type AssignmentRequest = Static<typeof assignmentRequestSchema>;

const open = { additionalProperties: true } as const;
const anyObject = Type.Unsafe<Record<string, unknown>>({ type: 'object', ...open });
// A list of types, where a union would be tried member by member each time an answer is written.
export const nullableText = (description?: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], ...(description === undefined ? {} : { description }) });
const nullableObject = Type.Unsafe<object | null>({ type: ['object', 'null'], ...open });

const configSchema = Type.Object(
  {
    policy_version_id: Type.Optional(Type.String()),
    params: anyObject,
  },
  { additionalProperties: true },
);

export const assignmentSchema = Type.Object({
  experiment_id: Type.String(),
  experiment_key: Type.String(),
  variant_id: Type.String({ description: 'What to deliver' }),
  variant_name: Type.String(),
  config: configSchema,
  assigned_variant_id: nullableText('What is analyzed; differs from variant_id while another variant is served to all'),
  reason: oneOfTexts(['assigned', 'forced', 'all-to'], 'Why this variant is delivered'),
  hash_bucket: Type.Integer(),
  experiment_version: Type.Integer({ description: 'Version of the definition that this answer follows' }),
  source: nullableText('hashed, forced, imported or inherited'),
  stored: Type.Boolean({ description: 'false only for answers without enrolment' }),
});

export const assignmentResponseSchema = Type.Object({
  unit_type: Type.String(),
  unit_id: Type.String(),
  assignments: Type.Array(assignmentSchema),
  not_assigned: Type.Array(
    Type.Object({
      experiment_id: Type.String(),
      experiment_key: Type.String(),
      reason: Type.String({
        description: 'Such as outside-coverage, not-targeted, paused, off: the unit gets the default',
      }),
      assigned_variant_id: nullableText(),
    }),
  ),
});
export type AssignmentResponse = Static<typeof assignmentResponseSchema>;
export type AssignmentAnswer = Static<typeof assignmentSchema>;

/** `experiment` and `variant` are key or name; the fields with `_id` take what answers and events carry. */
const importItemSchema = Type.Object(
  {
    experiment: Type.Optional(Type.String({ ...keyOrIdSchema, description: 'Key or id' })),
    experiment_id: Type.Optional(Type.String({ format: 'uuid' })),
    unit_type: unitTypeSchema,
    unit_id: unitIdSchema,
    variant: Type.Optional(Type.String({ ...keyOrIdSchema, description: 'Name or id' })),
    variant_id: Type.Optional(Type.String({ format: 'uuid' })),
    assigned_at: Type.Optional(Type.String({ format: 'date-time' })),
    probability: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        description: 'Of this variant given enrolment; by allocation when absent',
      }),
    ),
  },
  closed,
);
export type ImportItem = Static<typeof importItemSchema>;

export const importRequestSchema = Type.Object(
  { assignments: Type.Array(importItemSchema, { minItems: 1, maxItems: maxImportItems }) },
  closed,
);

export const importResponseSchema = Type.Object({
  imported: Type.Integer(),
  duplicates: Type.Integer({ description: 'Already stored with the same variant' }),
  conflicts: Type.Integer({ description: 'Already stored with another variant, which stays' }),
  invalid: Type.Integer(),
  problems: Type.Array(
    Type.Object({
      index: Type.Integer(),
      status: oneOfTexts(['conflict', 'invalid']),
      message: Type.String(),
      field: Type.Optional(Type.String()),
    }),
  ),
});
export type ImportResponse = Static<typeof importResponseSchema>;

export const coverageChangeSchema = Type.Object(
  {
    coverage: Type.Number({ minimum: 0, maximum: 1, description: 'At most four decimals' }),
    expected_version: versionSchema,
    reason: reasonSchema,
  },
  closed,
);

export const transitionSchema = Type.Object(
  {
    to: oneOfTexts(['running', 'paused', 'completed', 'archived']),
    winner: Type.Optional(
      Type.String({
        ...keyOrIdSchema,
        description:
          'With completed: name or id of the variant that all units get from now on; when absent, a promoted variant stays, or nothing is delivered',
      }),
    ),
    expected_version: versionSchema,
    reason: reasonSchema,
  },
  closed,
);
export type Transition = Static<typeof transitionSchema>;

export const servingChangeSchema = Type.Object(
  {
    mode: oneOfTexts(['as_assigned', 'all_to', 'off']),
    variant: Type.Optional(Type.String({ ...keyOrIdSchema, description: 'With all_to: name or id' })),
    expected_version: versionSchema,
    reason: reasonSchema,
  },
  closed,
);
export type ServingChange = Static<typeof servingChangeSchema>;

export const experimentQuerySchema = Type.Object(
  { status: Type.Optional(oneOfTexts(experimentStatuses)), unit_type: Type.Optional(unitTypeSchema) },
  closed,
);
export const definitionQuerySchema = Type.Object(
  {
    reason: Type.Optional(reasonSchema),
    expected_version: Type.Optional(
      Type.String({
        pattern: '^(0|[1-9][0-9]{0,8})$',
        description: 'Refuse unless the iteration has this version; 0: unless it does not exist',
      }),
    ),
  },
  closed,
);
export const experimentParamsSchema = Type.Object(
  { key: Type.String({ minLength: 1, maxLength: 128, format: storableTextFormat, description: 'Key or id' }) },
  closed,
);

export const experimentSchema = Type.Object({
  experiment_id: Type.String(),
  key: Type.String(),
  iteration: Type.Integer(),
  version: Type.Integer(),
  name: Type.String(),
  status: oneOfTexts(experimentStatuses),
  serving: Type.Object({ mode: Type.String(), variant_id: Type.Optional(Type.String()) }),
  unit_type: Type.String(),
  coverage: Type.Number(),
  exposure: Type.String(),
  hypothesis: nullableText(),
  owner: nullableText(),
  starts_at: nullableText(),
  ends_at: nullableText(),
  targeting: nullableObject,
  layer: nullableObject,
  holdout: nullableObject,
  forced_variants: anyObject,
  metrics: anyObject,
  analysis: anyObject,
  ramp: nullableObject,
  store_required: Type.Boolean(),
  variants: Type.Array(
    Type.Object({
      variant_id: Type.String(),
      name: Type.String(),
      allocation: Type.Number(),
      is_control: Type.Boolean(),
      config: anyObject,
    }),
  ),
});

export const changedExperimentSchema = Type.Object({
  ...experimentSchema.properties,
  notes: Type.Array(Type.String(), { description: 'What was done otherwise than asked, and why' }),
});

export { errorSchema };

/** The refusals that every route with a key and a body can give, as response schemas. */
export function errorResponses(...statuses: readonly number[]): Record<number, TSchema> {
  return Object.fromEntries(
    [400, 401, 403, 413, 415, 429, 500, 503, ...statuses].map((status) => [status, errorSchema]),
  );
}
