// The definition of an experiment as people write it (JSON or YAML), and how it becomes an Experiment.
import { type Static, Type } from '@sinclair/typebox';
import { parseBasisPoints } from '#domain/assignment/basis-points.ts';
import { experimentIdOf, variantIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { Experiment, Serving, Variant } from '#domain/experiment/experiment.ts';
import { asExperimentKey, asHoldoutId, asLayerId, asUnitType, asVariantId } from '#domain/experiment/ids.ts';
import { validateExperiment } from '#domain/experiment/validate-experiment.ts';
import type { Condition, JsonObject } from '#domain/targeting/condition.ts';
import { analysisBodySchema } from './analysis-body.ts';
import { resolvePolicyVersion } from './policy.ts';
import { closed, oneOfTexts, share, shortText, storableTextFormat } from './schema-parts.ts';

export { oneOfTexts, storableTextFormat } from './schema-parts.ts';

const time = (description: string) => Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description });

export const variantConfigSchema = Type.Object(
  {
    policy_version_id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Id of a policy version, or `policy@version`' }),
    ),
    params: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Delivered verbatim' })),
  },
  closed,
);

export const definitionBodySchema = Type.Object(
  {
    key: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
      description: 'Stable name; not shaped like a UUID',
    }),
    iteration: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'The latest one, or 1, when absent' }),
    ),
    name: Type.Optional(shortText('For people; the key when absent')),
    unit_type: Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$' }),
    coverage: Type.Optional(
      share('Share of the allocated units that is enrolled, at most four decimals; the present one, or 1, when absent'),
    ),
    exposure: Type.Optional(oneOfTexts(['explicit', 'implicit'])),
    status: Type.Optional(
      oneOfTexts(
        ['draft', 'running'],
        'How far a new iteration goes: `running` also starts a draft. Otherwise transitions change it',
      ),
    ),
    hypothesis: Type.Optional(Type.Union([Type.String({ maxLength: 4_096, format: storableTextFormat }), Type.Null()])),
    owner: Type.Optional(Type.Union([Type.String({ maxLength: 256, format: storableTextFormat }), Type.Null()])),
    starts_at: Type.Optional(time('Enrolment opens')),
    ends_at: Type.Optional(time('Enrolment closes; exclusive')),
    targeting: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
    layer: Type.Optional(
      Type.Union([
        Type.Object({ id: shortText('Layer'), start: share('Inclusive'), end: share('Exclusive') }, closed),
        Type.Null(),
      ]),
    ),
    holdout: Type.Optional(
      Type.Union([Type.Object({ id: shortText('Holdout'), share: share('Kept out') }, closed), Type.Null()]),
    ),
    forced_variants: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: 'Variant name by unit id, for test units' }),
    ),
    metrics: Type.Optional(
      Type.Object(
        {
          primary: Type.Optional(shortText('Metric')),
          secondary: Type.Optional(Type.Array(shortText('Metric'), { maxItems: 100 })),
          guardrails: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  metric: shortText('Metric'),
                  direction: Type.Optional(
                    oneOfTexts(
                      ['increase', 'decrease'],
                      "The direction that is harmful; that of the metric's definition when absent",
                    ),
                  ),
                  bound: Type.Optional(
                    Type.Number({
                      minimum: 0,
                      description:
                        'The largest harm that is accepted, on the scale of the metric; that of its definition',
                    }),
                  ),
                },
                closed,
              ),
              { maxItems: 100 },
            ),
          ),
        },
        closed,
      ),
    ),
    analysis: Type.Optional(analysisBodySchema),
    ramp: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
    variants: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 128, format: storableTextFormat }),
          allocation: share('Share of the enrolled units, at most four decimals'),
          config: Type.Optional(variantConfigSchema),
          is_control: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
      { minItems: 1, maxItems: 100, description: 'In the order of the hash ranges' },
    ),
  },
  closed,
);
export type DefinitionBody = Static<typeof definitionBodySchema>;

export type DefinitionFieldProblem = { readonly field: string; readonly message: string };

/** What the body leaves open and the state of the experiment fills in. */
export type DefinitionDefaults = {
  readonly iteration: number;
  readonly version: number;
  readonly status: Experiment['status'];
  readonly serving: Serving;
  /** Basis points. */
  readonly coverage: number;
  readonly storeRequired: boolean;
};

export type ParsedDefinition =
  | { readonly ok: true; readonly experiment: Experiment }
  | { readonly ok: false; readonly problems: readonly DefinitionFieldProblem[] };

export const policyReferenceField = (variantIndex: number): string =>
  `variants[${variantIndex}].config.policy_version_id`;

export const describeBadReference = (reference: string): string =>
  `"${reference}" is neither the id of a policy version nor policy@version`;

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const wireNames: Readonly<Record<string, string>> = {
  experimentKey: 'key',
  unitType: 'unit_type',
  startsAt: 'starts_at',
  endsAt: 'ends_at',
  forcedVariants: 'forced_variants',
  storeRequired: 'store_required',
  isControl: 'is_control',
  variantId: 'variant_id',
  layerId: 'id',
  holdoutId: 'id',
};

/** A path in the words of the domain as the path that the author of a definition knows. */
export function toWireField(path: string): string {
  return path.replace(/[A-Za-z]+/g, (word) => wireNames[word] ?? word);
}

/** Turns a body that fits the schema into an Experiment with its derived ids, or lists everything that is wrong with it. */
export function parseDefinition(body: DefinitionBody, defaults: DefinitionDefaults): ParsedDefinition {
  const problems: DefinitionFieldProblem[] = [];
  const basisPoints = (field: string, value: number): number => {
    const parsed = parseBasisPoints(value);
    if (parsed.status === 'parsed') return parsed.basisPoints;
    problems.push({ field, message: parsed.message });
    return 0;
  };
  const configOf = ({ config }: DefinitionBody['variants'][number], index: number): JsonObject => {
    const params = (config?.params ?? {}) as JsonObject;
    const reference = config?.policy_version_id;
    if (reference === undefined) return { params };
    const id = resolvePolicyVersion(reference);
    if (id === null) problems.push({ field: policyReferenceField(index), message: describeBadReference(reference) });
    return { policy_version_id: id ?? reference, params };
  };
  if (uuidShape.test(body.key)) {
    problems.push({ field: 'key', message: 'must not be a UUID: requests name experiments by key or by id' });
  }
  const key = asExperimentKey(body.key);
  const experimentId = experimentIdOf(key, body.iteration ?? defaults.iteration);
  const variants = body.variants.map(
    (variant, index): Variant => ({
      variantId: variantIdOf(experimentId, variant.name),
      name: variant.name,
      allocation: basisPoints(`variants[${index}].allocation`, variant.allocation),
      isControl: variant.is_control ?? false,
      config: configOf(variant, index),
    }),
  );
  const idOfName = new Map(variants.map(({ name, variantId }) => [name, variantId]));
  const forced = Object.entries(body.forced_variants ?? {}).map(([unitId, name]) => {
    const variantId = idOfName.get(name);
    if (variantId === undefined) {
      problems.push({ field: `forced_variants.${unitId}`, message: `the experiment has no variant ${name}` });
    }
    return [unitId, variantId ?? asVariantId('')] as const;
  });
  const experiment: Experiment = {
    experimentId,
    experimentKey: key,
    iteration: body.iteration ?? defaults.iteration,
    version: defaults.version,
    status: defaults.status,
    serving: defaults.serving,
    unitType: asUnitType(body.unit_type),
    coverage: body.coverage === undefined ? defaults.coverage : basisPoints('coverage', body.coverage),
    variants,
    targeting: (body.targeting ?? null) as Condition | null,
    layer: body.layer
      ? {
          layerId: asLayerId(body.layer.id),
          start: basisPoints('layer.start', body.layer.start),
          end: basisPoints('layer.end', body.layer.end),
        }
      : null,
    holdout: body.holdout
      ? { holdoutId: asHoldoutId(body.holdout.id), share: basisPoints('holdout.share', body.holdout.share) }
      : null,
    forcedVariants: Object.fromEntries(forced),
    startsAt: toInstant(body.starts_at),
    endsAt: toInstant(body.ends_at),
    storeRequired: defaults.storeRequired,
    name: body.name ?? body.key,
    exposure: body.exposure ?? 'explicit',
    hypothesis: body.hypothesis ?? null,
    owner: body.owner ?? null,
    metrics: body.metrics ?? {},
    analysis: body.analysis ?? {},
    ramp: (body.ramp ?? null) as JsonObject | null,
  };
  // Of a field that could not be read, validation would only complain about what stands in for it.
  const unread = new Set(problems.map(({ field }) => field));
  for (const { path, message } of validateExperiment(experiment)) {
    const field = toWireField(path);
    if (!unread.has(field)) problems.push({ field, message });
  }
  return problems.length === 0 ? { ok: true, experiment } : { ok: false, problems };
}

/** One spelling per instant, so that the same time written with another offset is no change. */
function toInstant(text: string | null | undefined): string | null {
  if (text === null || text === undefined) return null;
  const milliseconds = Date.parse(text);
  return Number.isNaN(milliseconds) ? text : new Date(milliseconds).toISOString();
}
