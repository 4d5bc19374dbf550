// What a neighboring service answered, held against the shape that is used here.
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

const RefusalShape = Type.Object({ code: Type.String(), message: Type.String() });

/** The reason of an answer that is no success; undefined when it names none. */
export const readRefusal = (body: unknown): Static<typeof RefusalShape> | undefined =>
  Value.Check(RefusalShape, body) ? body : undefined;

/** What is wrong with a body that does not have the shape. */
export function describeMismatch(shape: TSchema, body: unknown): string {
  const problem = Value.Errors(shape, body).First();
  return `its answer is none: ${problem?.path} ${problem?.message}`;
}
