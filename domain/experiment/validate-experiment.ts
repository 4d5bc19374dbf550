// The rules that every definition must meet in itself, whatever is running.

import { FULL_SHARE, formatBasisPoints } from '#domain/assignment/basis-points.ts';
import { findLayerRangeProblem, layerRangesOverlap } from '#domain/assignment/eligible-space.ts';
import { validateCondition } from '#domain/targeting/validate-condition.ts';
import type { Experiment, ExperimentStatus } from './experiment.ts';

/** `path` is in the words of the definition, such as `variants[1].allocation`. */
export type DefinitionProblem = { readonly path: string; readonly message: string };

/** These enroll nobody any more, so their layer ranges are free. */
const finishedStatuses: readonly ExperimentStatus[] = ['completed', 'archived'];

/** Lists every problem of a definition; an empty list means that it can be stored and compiled. */
export function validateExperiment(experiment: Experiment): DefinitionProblem[] {
  const problems = [
    ...findShareProblems(experiment),
    ...findVariantProblems(experiment),
    ...findReferenceProblems(experiment),
    ...findTimeProblems(experiment),
  ];
  const { targeting, layer } = experiment;
  if (targeting !== null) {
    for (const { path, message } of validateCondition(targeting)) {
      problems.push({ path: path === '' ? 'targeting' : `targeting.${path}`, message });
    }
  }
  const layerProblem = layer && findLayerRangeProblem(layer);
  if (layerProblem) problems.push({ path: 'layer', message: layerProblem });
  return problems;
}

/** Whether the experiment keeps its range of a layer from others. */
export function holdsLayerRange({ layer, status }: Pick<Experiment, 'layer' | 'status'>): boolean {
  return layer !== null && !finishedStatuses.includes(status);
}

/** Keys of the other experiments that own a part of the same layer range; they would share units with this one. */
export function listLayerConflicts({ layer, experimentKey }: Experiment, others: readonly Experiment[]): string[] {
  if (layer === null) return [];
  return others
    .filter((other) => other.experimentKey !== experimentKey && holdsLayerRange(other))
    .filter((other) => other.layer !== null && layerRangesOverlap(layer, other.layer))
    .map((other) => other.experimentKey);
}

function findShareProblems({ coverage, variants, holdout }: Experiment): DefinitionProblem[] {
  const shares = [
    { path: 'coverage', share: coverage },
    ...variants.map(({ allocation }, index) => ({ path: `variants[${index}].allocation`, share: allocation })),
    ...(holdout === null ? [] : [{ path: 'holdout.share', share: holdout.share }]),
  ];
  const problems = shares
    .filter(({ share }) => !Number.isInteger(share) || share < 0 || share > FULL_SHARE)
    .map(({ path, share }) => ({ path, message: `must be 0..10000 basis points, not ${share}` }));
  const sum = variants.reduce((total, { allocation }) => total + allocation, 0);
  if (sum > FULL_SHARE) {
    problems.push({
      path: 'variants',
      message: `allocations sum to ${formatBasisPoints(sum)}; they may sum to at most 1`,
    });
  }
  return problems;
}

function findVariantProblems({ variants }: Experiment): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  if (variants.length === 0) problems.push({ path: 'variants', message: 'at least one variant is needed' });
  const controls = variants.filter(({ isControl }) => isControl).length;
  if (controls > 1) problems.push({ path: 'variants', message: `one variant may be the control, not ${controls}` });
  variants.forEach(({ name }, index) => {
    const path = `variants[${index}].name`;
    if (name === '') problems.push({ path, message: 'a variant needs a name' });
    if (variants.findIndex((variant) => variant.name === name) < index) {
      problems.push({ path, message: `another variant is called ${name}` });
    }
  });
  return problems;
}

function findReferenceProblems({ variants, serving, forcedVariants }: Experiment): DefinitionProblem[] {
  const known = new Set<string>(variants.map(({ variantId }) => variantId));
  const references = Object.entries(forcedVariants).map(([unitId, variantId]) => ({
    path: `forcedVariants.${unitId}`,
    variantId,
  }));
  if (serving.mode === 'all_to') references.push({ path: 'serving.variantId', variantId: serving.variantId });
  return references
    .filter(({ variantId }) => !known.has(variantId))
    .map(({ path, variantId }) => ({ path, message: `the experiment has no variant ${variantId}` }));
}

function findTimeProblems({ startsAt, endsAt }: Experiment): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  for (const [path, time] of Object.entries({ startsAt, endsAt })) {
    const isZoned = time === null || (/(Z|[+-]\d\d:\d\d)$/.test(time) && !Number.isNaN(Date.parse(time)));
    if (!isZoned)
      problems.push({ path, message: `${time} is not an ISO time with a zone, such as 2026-01-05T09:00:00Z` });
  }
  if (problems.length === 0 && startsAt !== null && endsAt !== null && Date.parse(startsAt) >= Date.parse(endsAt)) {
    problems.push({ path: 'endsAt', message: `must be after startsAt (${startsAt})` });
  }
  return problems;
}
