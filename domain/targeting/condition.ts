// The shape of targeting conditions, and the few questions about it that compiling and validating share.

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export type JsonObject = { readonly [key: string]: JsonValue };

/**
 * A Mongo-style condition: keys are attribute paths or `$and`, `$or`, `$nor`, `$not`; all of them must hold.
 * Semantics are those of the GrowthBook SDK specification 0.8.0, quirks of comparison included.
 */
export type Condition = JsonObject;

/** Named lists of values for `$inGroup` and `$notInGroup`. */
export type SavedGroups = { readonly [groupId: string]: readonly JsonValue[] };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True for an object whose keys are all operators, such as `{"$gt": 5}`; any other object is compared as a value. */
export function isOperatorObject(value: unknown): value is JsonObject {
  if (!isJsonObject(value)) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => key.startsWith('$'));
}
