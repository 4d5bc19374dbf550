// Branded types of the identifiers around experiments, so that swapped arguments do not compile.

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** UUID of one iteration of an experiment; a new iteration has a new one. */
export type ExperimentId = Branded<'ExperimentId'>;
/** Stable name that people and flags use; all iterations share it. */
export type ExperimentKey = Branded<'ExperimentKey'>;
/** UUID of one variant of one iteration. */
export type VariantId = Branded<'VariantId'>;
/** What is randomized: an opaque text, compared and hashed as its UTF-8 bytes without any normalization. */
export type UnitId = Branded<'UnitId'>;
/** Kind of unit, such as `user`, `device` or `session`. */
export type UnitType = Branded<'UnitType'>;
export type LayerId = Branded<'LayerId'>;
export type HoldoutId = Branded<'HoldoutId'>;
export type PolicyId = Branded<'PolicyId'>;
export type PolicyVersionId = Branded<'PolicyVersionId'>;

// Only for texts that the caller has already validated at its edge (request schema, database row, definition file).
export const asExperimentId = (text: string): ExperimentId => text as ExperimentId;
export const asExperimentKey = (text: string): ExperimentKey => text as ExperimentKey;
export const asVariantId = (text: string): VariantId => text as VariantId;
export const asUnitId = (text: string): UnitId => text as UnitId;
export const asUnitType = (text: string): UnitType => text as UnitType;
export const asLayerId = (text: string): LayerId => text as LayerId;
export const asHoldoutId = (text: string): HoldoutId => text as HoldoutId;
export const asPolicyId = (text: string): PolicyId => text as PolicyId;
export const asPolicyVersionId = (text: string): PolicyVersionId => text as PolicyVersionId;
