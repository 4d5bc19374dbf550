// Tests what one unit gets: which rule wins over which, in every status, serving state and moment.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileExperiment } from './compile-experiment.ts';
import { type Evaluation, type EvaluationInput, evaluate } from './evaluate.ts';
import { type Experiment, experimentStatuses, isAnsweredUnasked, type Serving } from './experiment.ts';
import { controlId, sampleExperiment, sampleStoredAssignment, treatmentId } from './experiment-samples.ts';
import { explain } from './explain.ts';
import { asExperimentId, asExperimentKey, asHoldoutId, asLayerId, asUnitId, asUnitType, asVariantId } from './ids.ts';

const now = Date.UTC(2026, 0, 15);

const inputOf = (overrides: Partial<EvaluationInput> = {}): EvaluationInput => ({
  unitType: asUnitType('user'),
  unitId: asUnitId('user-1'),
  context: {},
  stored: null,
  nowMs: now,
  ...overrides,
});

const evaluateOf = (experiment: Partial<Experiment>, input: Partial<EvaluationInput> = {}): Evaluation =>
  evaluate(compileExperiment(sampleExperiment(experiment)), inputOf(input));

const toTreatment: Serving = { mode: 'all_to', variantId: treatmentId };
const stored = sampleStoredAssignment(controlId);

describe('first entry', () => {
  test('follows the hash, and the row to store has bucket, probability and enrolment share', () => {
    const { assignment, ...rest } = evaluateOf({ coverage: 10_000 });
    expect(rest).toEqual({ reason: 'assigned', isNew: true, servedVariantId: assignment?.variantId });
    expect(assignment).toEqual({
      variantId: assignment!.bucket < 5_000 ? controlId : treatmentId,
      bucket: expect.any(Number),
      probability: 0.5,
      enrolmentShare: 1,
      source: 'hashed',
    });
  });

  test.each<[string, Partial<Experiment>, Partial<EvaluationInput>, string]>([
    ['another unit type', {}, { unitType: asUnitType('device') }, 'unit-type-mismatch'],
    [
      'a context that is not targeted',
      { targeting: { country: 'NO' } },
      { context: { country: 'SE' } },
      'not-targeted',
    ],
    ['no context at all', { targeting: { country: 'NO' } }, { context: undefined }, 'not-targeted'],
    ['a holdout of everybody', { holdout: { holdoutId: asHoldoutId('h'), share: 10_000 } }, {}, 'held-out'],
    ['a layer range of nobody', { layer: { layerId: asLayerId('l'), start: 0, end: 0 } }, {}, 'outside-layer'],
    [
      'a row in another experiment of the layer',
      { layer: { layerId: asLayerId('l'), start: 0, end: 10_000 } },
      { isInLayerMate: true },
      'in-layer-mate',
    ],
    ['no coverage', { coverage: 0 }, {}, 'outside-coverage'],
    ['a start that is a millisecond away', { startsAt: new Date(now + 1).toISOString() }, {}, 'not-started'],
    ['an end that is now', { endsAt: new Date(now).toISOString() }, {}, 'ended'],
    ['a draft', { status: 'draft' }, {}, 'draft'],
    ['a pause', { status: 'paused' }, {}, 'paused'],
    ['an archived experiment', { status: 'archived' }, {}, 'archived'],
  ])('is closed by %s, and nothing is there to store', (_, experiment, input, reason) => {
    expect(evaluateOf(experiment, input)).toEqual({ reason, assignment: null, isNew: false, servedVariantId: null });
  });

  test('is open from the start, inclusive, to the end, exclusive', () => {
    const window = { startsAt: new Date(now).toISOString(), endsAt: new Date(now + 1).toISOString() };
    expect(evaluateOf(window).isNew).toBe(true);
  });

  test('goes on while nothing is delivered or one variant is delivered to all', () => {
    expect(evaluateOf({ serving: { mode: 'off' } })).toMatchObject({
      isNew: true,
      servedVariantId: null,
      reason: 'off',
    });
    expect(evaluateOf({ serving: toTreatment })).toMatchObject({
      isNew: true,
      servedVariantId: treatmentId,
      reason: 'all-to',
    });
  });
});

describe('a stored row', () => {
  test.each<[string, Partial<Experiment>, Partial<EvaluationInput>]>([
    ['coverage', { coverage: 0 }, {}],
    ['a pause', { status: 'paused' }, {}],
    ['the end', { endsAt: new Date(now - 1).toISOString() }, {}],
    ['targeting', { targeting: { country: 'NO' } }, { context: { country: 'SE' } }],
    ['a holdout', { holdout: { holdoutId: asHoldoutId('h'), share: 10_000 } }, {}],
    ['a layer', { layer: { layerId: asLayerId('l'), start: 0, end: 1 } }, { isInLayerMate: true }],
    ['completion that left it served', { status: 'completed' }, {}],
  ])('wins over %s', (_, experiment, input) => {
    expect(evaluateOf(experiment, { ...input, stored })).toEqual({
      reason: 'stored',
      assignment: stored,
      isNew: false,
      servedVariantId: controlId,
    });
  });

  test('stays what is analyzed, whatever is delivered', () => {
    expect(evaluateOf({ serving: toTreatment }, { stored })).toMatchObject({
      reason: 'all-to',
      assignment: stored,
      servedVariantId: treatmentId,
    });
    expect(evaluateOf({ serving: { mode: 'off' } }, { stored })).toMatchObject({
      reason: 'off',
      assignment: stored,
      servedVariantId: null,
    });
    expect(evaluateOf({ status: 'archived', serving: toTreatment }, { stored })).toMatchObject({
      reason: 'archived',
      assignment: stored,
      servedVariantId: null,
    });
  });

  test('of a variant that the definition does not have is not served', () => {
    const unknown = sampleStoredAssignment(asVariantId('33333333-3333-5333-8333-333333333333'));
    expect(evaluateOf({}, { stored: unknown })).toMatchObject({ reason: 'unknown-variant', servedVariantId: null });
  });
});

describe('one variant for all', () => {
  test.each(['running', 'paused', 'completed'] as const)('reaches units that are not assigned while %s', (status) => {
    const serving = { status, serving: toTreatment, coverage: 0 };
    expect(evaluateOf(serving)).toMatchObject({ servedVariantId: treatmentId, assignment: null });
  });

  test('does not reach whom targeting or a holdout keeps out, unless they are assigned', () => {
    const excluded = [
      { holdout: { holdoutId: asHoldoutId('h'), share: 10_000 } },
      { targeting: { country: 'NO' } },
    ] as const;
    for (const restriction of excluded) {
      expect(evaluateOf({ serving: toTreatment, ...restriction })).toMatchObject({ servedVariantId: null });
      expect(evaluateOf({ serving: toTreatment, ...restriction }, { stored })).toMatchObject({
        servedVariantId: treatmentId,
      });
    }
  });

  test('waits for the start', () => {
    const startsAt = new Date(now + 1).toISOString();
    expect(evaluateOf({ serving: toTreatment, startsAt })).toMatchObject({
      reason: 'not-started',
      servedVariantId: null,
    });
  });
});

describe('a test unit', () => {
  const forcedVariants = { 'user-1': treatmentId };

  test('gets its variant whatever keeps others out, and its row is marked', () => {
    const restrictions: Partial<Experiment> = {
      coverage: 0,
      targeting: { country: 'NO' },
      holdout: { holdoutId: asHoldoutId('h'), share: 10_000 },
    };
    expect(evaluateOf({ forcedVariants, ...restrictions })).toMatchObject({
      reason: 'forced',
      isNew: true,
      servedVariantId: treatmentId,
      assignment: { source: 'forced', variantId: treatmentId, probability: 1 },
    });
  });

  test.each<[string, Partial<Experiment>]>([
    ['a draft', { status: 'draft' }],
    ['an experiment that has not started', { startsAt: new Date(now + 1).toISOString() }],
  ])('sees %s without being stored', (_, experiment) => {
    expect(evaluateOf({ forcedVariants, ...experiment })).toEqual({
      reason: 'forced',
      assignment: null,
      isNew: false,
      servedVariantId: treatmentId,
    });
  });

  test('gets what is delivered to all, and nothing when nothing is', () => {
    const serving: Serving = { mode: 'all_to', variantId: controlId };
    expect(evaluateOf({ forcedVariants, serving }).servedVariantId).toBe(controlId);
    expect(evaluateOf({ forcedVariants, serving: { mode: 'off' } }).servedVariantId).toBeNull();
  });
});

const experimentArbitrary = fc.record({
  status: fc.constantFrom(...experimentStatuses),
  serving: fc.constantFrom<Serving>({ mode: 'as_assigned' }, { mode: 'off' }, toTreatment),
  coverage: fc.integer({ min: 0, max: 10_000 }),
  targeting: fc.constantFrom(null, { country: 'NO' }),
  holdout: fc.option(
    fc.record({ holdoutId: fc.constant(asHoldoutId('h')), share: fc.integer({ min: 0, max: 10_000 }) }),
  ),
  layer: fc.option(
    fc.record({
      layerId: fc.constant(asLayerId('l')),
      start: fc.integer({ min: 0, max: 5_000 }),
      end: fc.integer({ min: 5_001, max: 10_000 }),
    }),
  ),
  startsAt: fc.constantFrom(null, new Date(now - 1).toISOString(), new Date(now + 1).toISOString()),
  endsAt: fc.constantFrom(null, new Date(now + 2).toISOString()),
  forcedVariants: fc.constantFrom({}, { 'user-1': treatmentId }),
});
const inputArbitrary = fc.record({
  unitId: fc.oneof(fc.constant('user-1'), fc.string()).map(asUnitId),
  context: fc.oneof(fc.constant({ country: 'NO' }), fc.jsonValue(), fc.constant(undefined)),
  stored: fc.constantFrom(null, stored),
});

test('nothing is to be stored unless enrolment is open, and then what is stored is what the next answer follows', () => {
  fc.assert(
    fc.property(experimentArbitrary, inputArbitrary, (experiment, input) => {
      const compiled = compileExperiment(sampleExperiment(experiment));
      const first = evaluate(compiled, inputOf(input));
      const isOpen =
        experiment.status === 'running' && (experiment.startsAt === null || Date.parse(experiment.startsAt) <= now);
      if (first.isNew) expect({ isOpen, stored: input.stored }).toEqual({ isOpen: true, stored: null });
      if (input.stored !== null) expect(first.assignment).toBe(input.stored);
      if (first.assignment === null) return;
      // The next request may come with any context: the row decides.
      const next = evaluate(compiled, inputOf({ ...input, context: {}, stored: first.assignment }));
      expect(next.assignment).toBe(first.assignment);
      expect(next.isNew).toBe(false);
      expect(next.servedVariantId).toBe(first.servedVariantId);
    }),
    { numRuns: 1_000, seed: 4 },
  );
});

test('raising the coverage gives nobody another variant, also without stored rows', () => {
  fc.assert(
    fc.property(
      experimentArbitrary,
      inputArbitrary,
      fc.integer({ min: 0, max: 10_000 }),
      (experiment, input, other) => {
        const [lower, higher] = [experiment.coverage, other].sort((one, two) => one - two) as [number, number];
        const [before, after] = [lower, higher].map((coverage) =>
          evaluate(
            compileExperiment(sampleExperiment({ ...experiment, coverage })),
            inputOf({ ...input, stored: null }),
          ),
        ) as [Evaluation, Evaluation];
        if (before.assignment !== null) expect(after.assignment?.variantId).toBe(before.assignment.variantId);
      },
    ),
    { numRuns: 500, seed: 4 },
  );
});

test('two experiments with separate ranges of one layer never share a unit', () => {
  const experimentIn = (number: number, start: number, end: number) =>
    compileExperiment(
      sampleExperiment({
        experimentId: asExperimentId(`00000000-0000-5000-8000-00000000000${number}`),
        experimentKey: asExperimentKey(`experiment-${number}`),
        layer: { layerId: asLayerId('page'), start, end },
      }),
    );
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 10_000 }), { minLength: 4, maxLength: 4 }),
      fc.array(fc.string(), { minLength: 1, maxLength: 50 }),
      (cuts, unitIds) => {
        const [a, b, c, d] = [...cuts].sort((one, other) => one - other) as [number, number, number, number];
        const experiments = [experimentIn(1, a, b), experimentIn(2, b, c), experimentIn(3, c, d)];
        for (const unitId of unitIds) {
          const entered = experiments.filter((one) => evaluate(one, inputOf({ unitId: asUnitId(unitId) })).isNew);
          expect(entered.length).toBeLessThanOrEqual(1);
        }
      },
    ),
    { numRuns: 300, seed: 4 },
  );
});

test('an explanation is the evaluation with every check beside it', () => {
  fc.assert(
    fc.property(experimentArbitrary, inputArbitrary, (experiment, input) => {
      const compiled = compileExperiment(sampleExperiment(experiment));
      const explanation = explain(compiled, inputOf(input));
      expect(explanation.evaluation).toEqual(evaluate(compiled, inputOf(input)));
      const { evaluation, isTargeted, holdout, layer, byHash } = explanation;
      if (evaluation.reason === 'not-targeted') expect(isTargeted).toBe(false);
      if (evaluation.reason === 'held-out') expect(holdout?.isHeldOut).toBe(true);
      if (evaluation.reason === 'outside-layer') expect(layer?.isInRange).toBe(false);
      if (evaluation.reason === 'assigned') expect(byHash).toMatchObject({ kind: 'assigned' });
    }),
    { numRuns: 500, seed: 4 },
  );
});

test.each<[Partial<Experiment>, boolean]>([
  [{ status: 'running' }, true],
  [{ status: 'paused' }, true],
  [{ status: 'completed', serving: toTreatment }, true],
  [{ status: 'completed', serving: { mode: 'off' } }, false],
  [{ status: 'draft' }, false],
  [{ status: 'archived' }, false],
])('%o is answered to callers who name no experiment: %s', (overrides, expected) => {
  expect(isAnsweredUnasked(sampleExperiment(overrides))).toBe(expected);
});
