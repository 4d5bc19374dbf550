// Ids derived from names (UUIDv5), so that the same definitions have the same ids and assignments in every environment.

import { v5 } from 'uuid';
import {
  asExperimentId,
  asPolicyId,
  asPolicyVersionId,
  asVariantId,
  type ExperimentId,
  type ExperimentKey,
  type PolicyId,
  type PolicyVersionId,
  type VariantId,
} from '#domain/experiment/ids.ts';

/** Root of all derived ids. Changing it would give every experiment a new id and every unit a new variant. */
export const ID_NAMESPACE = '31d7f979-76fe-4792-b148-503e3994e68b';

/** UUIDv5 of a name such as `policy/planner` in the root namespace. */
export function idOfName(name: string): string {
  return v5(name, ID_NAMESPACE);
}

/** Id of one iteration of an experiment. */
export function experimentIdOf(key: ExperimentKey, iteration: number): ExperimentId {
  return asExperimentId(idOfName(`experiment/${key}/${requirePositive(iteration)}`));
}

export function variantIdOf(experimentId: ExperimentId, name: string): VariantId {
  return asVariantId(idOfName(`variant/${experimentId}/${name}`));
}

export function policyIdOf(name: string): PolicyId {
  return asPolicyId(idOfName(`policy/${name}`));
}

export function policyVersionIdOf(name: string, version: number): PolicyVersionId {
  return asPolicyVersionId(idOfName(`policy-version/${name}@${requirePositive(version)}`));
}

function requirePositive(number: number): number {
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new RangeError(`an iteration or version is a positive integer, not ${number}`);
}
