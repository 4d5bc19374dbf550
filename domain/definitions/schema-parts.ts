// Pieces that the schemas of definitions share: short texts, shares, one of a few words.
import { Type } from '@sinclair/typebox';

/** Formats that a validator of these schemas has to know besides those of JSON Schema. */
export const storableTextFormat = 'storable-text';

/** Objects that have no other fields than those listed. */
export const closed = { additionalProperties: false } as const;

export const shortText = (description: string) =>
  Type.String({ minLength: 1, maxLength: 256, format: storableTextFormat, description });

/** A share in 0..1, both ends included. */
export const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });

/** A share in 0..1, neither end included. */
export const openShare = (description: string) =>
  Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1, description });

/** One of a few texts, with an error message that lists them. */
export const oneOfTexts = <const T extends readonly string[]>(texts: T, description?: string) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: texts, ...(description === undefined ? {} : { description }) });
