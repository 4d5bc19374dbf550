// Which rows of a dataset are for training, validation and test: by household and by time, so that a test is about people and days never seen.

import { BUCKET_COUNT, createDatasetSplitBucket } from '#domain/assignment/bucket.ts';

export const datasetSplits = ['training', 'validation', 'test'] as const;
export type DatasetSplit = (typeof datasetSplits)[number];

/** Why a row is in no split. */
export type SplitExclusion = 'training-household-in-test-time' | 'test-household-in-training-time';

export type SplitConfig = {
  /** Share of the households, 0..1, whose early plans are for training; the rest after validation is for test. */
  readonly trainingShare: number;
  readonly validationShare: number;
  /** Share of the time range, 0..1, that training and validation come from; the rest is for test. */
  readonly trainingTime: number;
};
export const defaultSplitConfig: SplitConfig = { trainingShare: 0.65, validationShare: 0.1, trainingTime: 0.6 };

/** The group of a household is the same in every dataset, so what was once a test household is never trained on later. */
export type HouseholdGroup = DatasetSplit;

export type RowSplit = { readonly split: DatasetSplit } | { readonly excluded: SplitExclusion };

/**
 * Decides where a row goes. `firstMicros` and `lastMicros` are the times of the first and the last plan of the dataset;
 * test begins at first + trainingTime × (last − first). Pure: the same arguments give the same split in every build.
 */
export function createSplitter(
  range: { readonly firstMicros: bigint; readonly lastMicros: bigint },
  config: SplitConfig = defaultSplitConfig,
): { readonly testFromMicros: bigint; splitOf(householdId: string, generatedAtMicros: bigint): RowSplit } {
  const bucketOf = createDatasetSplitBucket();
  const trainingEnd = config.trainingShare * BUCKET_COUNT;
  const validationEnd = (config.trainingShare + config.validationShare) * BUCKET_COUNT;
  const spanMicros = Number(range.lastMicros - range.firstMicros);
  const testFromMicros = range.firstMicros + BigInt(Math.ceil(spanMicros * config.trainingTime));
  const groupOf = (householdId: string): HouseholdGroup => {
    const bucket = bucketOf(householdId);
    if (bucket < trainingEnd) return 'training';
    return bucket < validationEnd ? 'validation' : 'test';
  };
  return {
    testFromMicros,
    splitOf: (householdId, generatedAtMicros) => {
      const group = groupOf(householdId);
      const isTestTime = generatedAtMicros >= testFromMicros;
      if (isTestTime === (group === 'test')) return { split: group };
      return { excluded: isTestTime ? 'training-household-in-test-time' : 'test-household-in-training-time' };
    },
  };
}
