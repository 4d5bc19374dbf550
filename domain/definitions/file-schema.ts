// What a definition file may contain: the schema that `ops apply` checks and that is published for editors.
import { type Static, Type } from '@sinclair/typebox';
import { metricBodySchema } from '#domain/metrics/metric-body.ts';
import { definitionBodySchema, storableTextFormat } from './definition-body.ts';

const closed = { additionalProperties: false } as const;
const namePattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';

export const experimentEntrySchema = Type.Object(
  {
    ...definitionBodySchema.properties,
    key: Type.Optional(
      Type.String({ pattern: namePattern, description: 'Stable name that ids follow from; the name when absent' }),
    ),
  },
  closed,
);

const policyVersionEntrySchema = Type.Object(
  {
    version: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    mlflow_model_name: Type.String({ minLength: 1, maxLength: 256, format: storableTextFormat }),
    mlflow_model_version: Type.Union([Type.Integer({ minimum: 1 }), Type.String({ pattern: '^[1-9][0-9]{0,17}$' })], {
      description: 'Version of the registered model; aliases move, so they are not accepted',
    }),
    config_defaults: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Parameters where a variant gives none' }),
    ),
  },
  closed,
);

export const policyEntrySchema = Type.Object(
  {
    name: Type.String({ pattern: namePattern, description: 'Stable name that ids follow from' }),
    description: Type.Optional(
      Type.Union([Type.String({ maxLength: 4_096, format: storableTextFormat }), Type.Null()]),
    ),
    versions: Type.Array(policyVersionEntrySchema, { minItems: 1, maxItems: 1_000 }),
  },
  closed,
);

export const definitionFileSchema = Type.Object(
  {
    experiments: Type.Optional(Type.Array(experimentEntrySchema, { maxItems: 1_000 })),
    policies: Type.Optional(Type.Array(policyEntrySchema, { maxItems: 1_000 })),
    metrics: Type.Optional(Type.Array(metricBodySchema, { maxItems: 1_000 })),
  },
  { ...closed, minProperties: 1 },
);

export type ExperimentEntry = Static<typeof experimentEntrySchema>;
export type PolicyEntry = Static<typeof policyEntrySchema>;
export type DefinitionFile = Static<typeof definitionFileSchema>;
