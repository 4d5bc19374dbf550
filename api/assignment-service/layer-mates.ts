// Which other experiments of a layer keep a unit out of one: hashes keep units apart, but inherited and imported rows need not.
import type { AssignmentSource } from '#domain/experiment/evaluate.ts';
import type { DefinitionIndex, LiveExperiment } from '#producers/definition-store/live-definitions.ts';
import type { AssignmentAccess } from './assign-unit.ts';
import type { AssignmentCache } from './assignment-cache.ts';

/** The other experiments that hold a range of the experiment's layer now. */
export function listLayerMates(index: DefinitionIndex, { experiment }: LiveExperiment): readonly LiveExperiment[] {
  const { layer, experimentKey } = experiment;
  if (layer === null) return [];
  return (index.byLayer.get(layer.layerId) ?? []).filter((other) => other.experiment.experimentKey !== experimentKey);
}

/** Whether a stored row of a layer mate keeps its unit out; a test unit may be named in several experiments. */
export const keepsOutOfLayer = ({ source }: { readonly source: AssignmentSource }): boolean => source !== 'forced';

/** Of these experiments, those that the unit may not enter, because it is stored in another one of the same layer. */
export async function findTakenByLayerMates(
  deps: { readonly index: DefinitionIndex; readonly assignments: AssignmentAccess; readonly cache: AssignmentCache },
  experiments: readonly LiveExperiment[],
  unitId: string,
): Promise<ReadonlySet<LiveExperiment>> {
  const { index, assignments, cache } = deps;
  const taken = new Set<LiveExperiment>();
  const open: { live: LiveExperiment; key: { experimentId: string; unitId: string } }[] = [];
  for (const live of experiments) {
    for (const { experiment } of listLayerMates(index, live)) {
      const key = { experimentId: experiment.experimentId, unitId };
      const cached = cache.find(key);
      if (cached === undefined) open.push({ live, key });
      else if (keepsOutOfLayer(cached)) taken.add(live);
    }
  }
  if (open.length === 0) return taken;
  const rows = await assignments.find(open.map(({ key }) => key));
  open.forEach(({ live }, position) => {
    const row = rows[position];
    if (row === null || row === undefined) return;
    cache.keep(row);
    if (keepsOutOfLayer(row)) taken.add(live);
  });
  return taken;
}
