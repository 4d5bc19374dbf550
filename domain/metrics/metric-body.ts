// The definition of a metric as people write it, in YAML or JSON: the shape that is checked and published for editors.
import { type Static, Type } from '@sinclair/typebox';
import { closed, oneOfTexts, openShare, shortText, storableTextFormat } from '#domain/definitions/schema-parts.ts';

export const metricKinds = ['sum', 'mean', 'proportion', 'ratio', 'quantile', 'conversion'] as const;
/** What is taken of a unit's values of one event metric. */
export const takes = ['sum', 'count', 'min', 'max'] as const;

const duration = (description: string) =>
  Type.String({ pattern: '^[0-9]{1,5}(m|h|d)$', description: `${description}: minutes, hours or days, such as 7d` });

const perUnit = (description: string) =>
  Type.Union(
    [
      shortText('Name of a metric of events; its sum per unit'),
      Type.Object(
        { metric: shortText('Name of a metric of events'), take: oneOfTexts(takes, 'Of the values of one unit') },
        closed,
      ),
    ],
    { description },
  );

export const metricBodySchema = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,127}$',
      description: 'What experiments and results call it',
    }),
    description: Type.Optional(Type.String({ maxLength: 1_024, format: storableTextFormat })),
    unit: Type.Optional(Type.String({ minLength: 1, maxLength: 32, description: 'Such as ms or USD' })),
    kind: oneOfTexts(metricKinds, 'How the values of units become one number: docs/statistics.md'),
    of: Type.Optional(
      perUnit('sum, mean, quantile: the values. proportion, conversion: what is compared with at_least'),
    ),
    numerator: Type.Optional(perUnit('ratio: its sum over all units is divided')),
    denominator: Type.Optional(perUnit('ratio: what it is divided by, summed over all units')),
    at_least: Type.Optional(Type.Number({ description: 'proportion, conversion: the unit counts from here on; 1' })),
    level: Type.Optional(openShare('quantile: 0.5, 0.9, 0.99')),
    event_type: Type.Optional(shortText('conversion: the type of the events that count')),
    from: Type.Optional(duration('conversion: the window opens this long after the first exposure; at once')),
    within: Type.Optional(duration('conversion: the window closes this long after the first exposure, exclusive')),
    cap: Type.Optional(
      Type.Object(
        {
          at: Type.Optional(Type.Number({ description: 'Values of units above it count as it' })),
          quantile: Type.Optional(openShare('The cap is this quantile of the values of all units of all variants')),
          ignore_zeros: Type.Optional(
            Type.Boolean({ description: 'The quantile is that of the values that are not 0' }),
          ),
        },
        { ...closed, description: 'sum, mean: winsorization' },
      ),
    ),
    better: Type.Optional(oneOfTexts(['increase', 'decrease'], 'The direction that is good; increase')),
    scale: Type.Optional(
      oneOfTexts(['relative', 'absolute'], 'Effects as a share of control, or in units of the metric; relative'),
    ),
    minimum_effect: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'The smallest effect worth finding, on its scale' }),
    ),
    guardrail_bound: Type.Optional(
      Type.Number({ minimum: 0, description: 'As a guardrail: the largest harm that is accepted, on its scale' }),
    ),
  },
  closed,
);

export type MetricBody = Static<typeof metricBodySchema>;
