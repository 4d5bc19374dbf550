// How the results of an experiment are computed and decided, as people write it.
import { Type } from '@sinclair/typebox';
import { ADJUSTMENTS } from '#domain/statistics/multiple-testing.ts';
import { closed, oneOfTexts, openShare, shortText } from './schema-parts.ts';

export const analysisBodySchema = Type.Object(
  {
    test: Type.Optional(
      oneOfTexts(
        ['sequential', 'fixed'],
        'sequential: valid at every look (default). fixed: valid once, at planned_units',
      ),
    ),
    alpha: Type.Optional(openShare('Probability of a false success; 0.05')),
    tuning_units: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'sequential: units at which it is sharpest; 5000',
      }),
    ),
    planned_units: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'Units of all variants after which the experiment ends; from minimum_effect when absent',
      }),
    ),
    power: Type.Optional(openShare('Probability of finding minimum_effect; 0.8')),
    correction: Type.Optional(oneOfTexts(ADJUSTMENTS, 'Of the secondary metrics; holm')),
    covariate_days: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 365,
        description: 'Days before first exposure that CUPED takes a covariate from; 0, off',
      }),
    ),
    sample_ratio_alpha: Type.Optional(openShare('Probability of a false sample ratio alarm; 0.001')),
    guardrail_alpha: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        exclusiveMaximum: 0.5,
        description: 'Probability of a false stop over all guardrails; 0.05',
      }),
    ),
    guardrail_units: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 1_000_000_000,
        description: 'Units per variant before a guardrail is judged; 100',
      }),
    ),
    segments: Type.Optional(
      Type.Array(shortText('Attribute of the context of first exposures'), {
        maxItems: 10,
        description: 'Shown apart',
      }),
    ),
    prior: Type.Optional(
      Type.Object(
        {
          mean: Type.Number({ description: 'Effect on its scale' }),
          deviation: Type.Number({ exclusiveMinimum: 0, description: 'Standard deviation on its scale' }),
        },
        { ...closed, description: 'Normal belief about the effect, for the Bayesian reading; flat when absent' },
      ),
    ),
  },
  { ...closed, description: 'How results are computed and decided; frozen once the experiment runs' },
);
