// Vector files in the format of domain/assignment/vectors.json: hashes, buckets, variants, layers, holdouts and ids.
import { bucketOf, createHoldoutBucket, createLayerBucket } from '#domain/assignment/bucket.ts';
import { ID_NAMESPACE, idOfName } from '#domain/assignment/deterministic-ids.ts';
import { isHeldOut, isInLayerRange } from '#domain/assignment/eligible-space.ts';
import { murmur3 } from '#domain/assignment/murmur3.ts';
import { decideVariant, planVariantRanges } from '#domain/assignment/variant-ranges.ts';
import { asExperimentId, asHoldoutId, asLayerId, asUnitId, asVariantId } from '#domain/experiment/ids.ts';
import { requireArray, requireNumber, requireObject, requireText } from './read-json.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

const SPEC_VERSION = 1;

/** What each section computes from the leading cells of a row; the remaining cells are expected. */
const sections: Record<string, (row: unknown[]) => unknown[]> = {
  hash: ([text, seed]) => [murmur3(requireText(text, 'text'), requireNumber(seed, 'seed'))],
  bucket: ([experimentId, unitId]) => [
    bucketOf(asExperimentId(requireText(experimentId, 'experiment_id')), unit(unitId)),
  ],
  variant: ([experimentId, unitId, allocations, coverage]) => [
    variantIndex(
      bucketOf(asExperimentId(requireText(experimentId, 'experiment_id')), unit(unitId)),
      allocations,
      coverage,
    ),
  ],
  variantOfBucket: ([bucket, allocations, coverage]) => [
    variantIndex(requireNumber(bucket, 'bucket'), allocations, coverage),
  ],
  layer: ([id, unitId, , start, end]) => {
    const layerId = asLayerId(requireText(id, 'layer_id'));
    const bucket = createLayerBucket(layerId)(unit(unitId));
    const range = { layerId, start: requireNumber(start, 'start'), end: requireNumber(end, 'end') };
    return [bucket, start, end, isInLayerRange(range, bucket)];
  },
  holdout: ([id, unitId, , share]) => {
    const holdoutId = asHoldoutId(requireText(id, 'holdout_id'));
    const bucket = createHoldoutBucket(holdoutId)(unit(unitId));
    return [bucket, share, isHeldOut({ holdoutId, share: requireNumber(share, 'share') }, bucket)];
  },
  id: ([name]) => [idOfName(requireText(name, 'name'))],
};

export const assignmentVectors: VectorKind = {
  fileName: 'vectors.json',
  run(content) {
    const file = requireObject(content, 'the file');
    if (file.specVersion !== SPEC_VERSION) {
      throw new TypeError(`specVersion is ${String(file.specVersion)}, this code implements ${SPEC_VERSION}`);
    }
    const tally = createVectorTally();
    tally.check(file.idNamespace === ID_NAMESPACE, () => `idNamespace: expected ${file.idNamespace}`);
    for (const [name, compute] of Object.entries(sections)) {
      const section = requireObject(file[name], name);
      const columnCount = requireArray(section.columns, `${name}.columns`).length;
      requireArray(section.rows, `${name}.rows`).forEach((cells, index) => {
        tally.attempt(`${name} row ${index + 1}`, () => {
          const row = requireArray(cells, 'a row');
          const actual = compute(row);
          const expected = row.slice(columnCount - actual.length);
          if (row.length === columnCount && JSON.stringify(actual) === JSON.stringify(expected)) return true;
          return `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`;
        });
      });
    }
    return tally.report();
  },
};

function unit(value: unknown) {
  return asUnitId(requireText(value, 'unit_id'));
}

function variantIndex(bucket: number, allocations: unknown, coverage: unknown): number | null {
  const variants = requireArray(allocations, 'allocations').map((allocation, index) => ({
    variantId: asVariantId(String(index)),
    allocation: requireNumber(allocation, 'allocation'),
  }));
  const decision = decideVariant(planVariantRanges(variants, requireNumber(coverage, 'coverage')), bucket);
  return decision.kind === 'assigned' ? Number(decision.variantId) : null;
}
