// How far a policy version that was never in production may start, whether a file, a request or a command asks for more.
import { formatBasisPoints } from '#domain/assignment/basis-points.ts';
import { type Experiment, policyVersionIdIn } from '#domain/experiment/experiment.ts';
import type { VariantId } from '#domain/experiment/ids.ts';
import { capStartingCoverage, hasEnrolmentBegun, STARTING_SHARE_LIMIT } from '#domain/experiment/traffic-share.ts';

/** What is known of the policy versions that variants point at. */
export type ProductionRecord = {
  hasBeenInProduction(policyVersionId: string): boolean;
  /** For people, such as `planner@2`. */
  nameOf(policyVersionId: string): string;
};

/**
 * A definition never gives a policy version that was not in production more than it may start with: beyond that, coverage is raised
 * step by step, by command. What an experiment that runs has already been raised to stays.
 */
export function capCoverage(
  wanted: Experiment,
  current: Experiment | null,
  production: ProductionRecord,
): { experiment: Experiment; notes: readonly string[] } {
  const reached = current !== null && current.status !== 'draft' ? current.coverage : 0;
  const { coverage: limit, cappedBy } = capStartingCoverage(wanted, (id) => production.hasBeenInProduction(id));
  const coverage = Math.max(limit, Math.min(reached, wanted.coverage));
  if (coverage === wanted.coverage) return { experiment: wanted, notes: [] };
  const shares = cappedBy.map(
    ({ policyVersionId, trafficShare }) =>
      `${production.nameOf(policyVersionId)} (${variantNames(wanted, policyVersionId)}) would get ${formatShare(trafficShare)} of traffic`,
  );
  const note =
    `coverage ${reached > 0 ? 'stays' : 'starts'} at ${formatBasisPoints(coverage)} instead of ${formatBasisPoints(wanted.coverage)}: ` +
    `${shares.join('; ')}, and a policy version that has not been in production starts at no more than ` +
    `${formatBasisPoints(STARTING_SHARE_LIMIT)}. Raise it with \`ops experiments coverage\``;
  return { experiment: { ...wanted, coverage }, notes: [note] };
}

const variantNames = ({ variants }: Experiment, policyVersionId: string): string =>
  variants
    .filter(({ config }) => policyVersionIdIn(config) === policyVersionId)
    .map(({ name }) => name)
    .join(', ');

const formatShare = (share: number): string => String(Number(share.toFixed(4)));

/** Lowers the coverage of a draft that starts to where no new policy version gets more than a tenth of traffic. */
export function capAtStart(
  draft: Experiment,
  production: ProductionRecord,
): { readonly experiment: Experiment; readonly notes: readonly string[] } {
  return capCoverage(draft, null, production);
}

/**
 * Why a command may not take effect before units have been enrolled: it would give a policy version that was not in production more
 * than it may start with. Null when it may. Afterwards raising and promoting are decisions of people and ramps.
 */
export function findStartRefusal(
  current: Experiment,
  asked: { readonly coverage: number } | { readonly deliverToAll: VariantId },
  production: ProductionRecord,
  nowMs: number,
): string | null {
  if (current.status === 'draft' || hasEnrolmentBegun(current, nowMs)) return null;
  const begin = `until the experiment has enrolled units (it opens at ${current.startsAt})`;
  const rule = `a policy version that has not been in production starts at no more than ${formatBasisPoints(STARTING_SHARE_LIMIT)} of traffic`;
  if ('deliverToAll' in asked) {
    const variant = current.variants.find(({ variantId }) => variantId === asked.deliverToAll);
    const id = variant === undefined ? null : policyVersionIdIn(variant.config);
    if (variant === undefined || id === null || production.hasBeenInProduction(id)) return null;
    return `${variant.name} cannot be delivered to all ${begin}: it points at ${production.nameOf(id)}, and ${rule}`;
  }
  const { coverage: limit, cappedBy } = capStartingCoverage({ ...current, coverage: asked.coverage }, (id) =>
    production.hasBeenInProduction(id),
  );
  if (asked.coverage <= Math.max(limit, current.coverage)) return null;
  const capped = cappedBy.map(
    ({ policyVersionId }) =>
      `${variantNames(current, policyVersionId)} points at ${production.nameOf(policyVersionId)}`,
  );
  return `coverage may be at most ${formatBasisPoints(limit)} ${begin}: ${capped.join(', ')}, and ${rule}`;
}
