// Turns a targeting condition into one function of the attributes, so that evaluation parses nothing.

import { type Condition, isJsonObject, type JsonValue, type SavedGroups } from './condition.ts';
import { type CompileScope, compileValue, never, type Predicate } from './operators.ts';

/** Whether a unit with these attributes meets a condition. Never throws, whatever the attributes are. */
export type Targeting = (attributes: unknown) => boolean;

/**
 * Compiles a condition. Unknown operators and malformed parts never hold; `validateCondition` reports them to authors.
 * Attributes that cannot be compared at all (a circular object, say) do not meet the condition.
 */
export function compileCondition(condition: Condition, savedGroups: SavedGroups = {}): Targeting {
  const scope: CompileScope = { savedGroups, compileCondition: (nested) => compileClauses(nested, scope) };
  const predicate = compileClauses(condition, scope);
  return (attributes) => {
    try {
      return predicate(attributes);
    } catch {
      return false;
    }
  };
}

function compileClauses(condition: JsonValue, scope: CompileScope): Predicate {
  if (!isJsonObject(condition)) return never;
  const clauses = Object.entries(condition).map(([key, argument]) => compileClause(key, argument, scope));
  return clauses.length === 1 ? clauses[0]! : allOf(clauses);
}

function compileClause(key: string, argument: JsonValue, scope: CompileScope): Predicate {
  if (key === '$not') {
    const negated = compileClauses(argument, scope);
    return (attributes) => !negated(attributes);
  }
  if (key === '$and' || key === '$or' || key === '$nor') {
    if (!Array.isArray(argument)) return never;
    const parts = argument.map((part: JsonValue) => compileClauses(part, scope));
    if (key === '$and') return allOf(parts);
    // An empty $or holds, and so an empty $nor does not.
    const isAnyTrue: Predicate = (attributes) => parts.length === 0 || parts.some((part) => part(attributes));
    return key === '$or' ? isAnyTrue : (attributes) => !isAnyTrue(attributes);
  }
  const holds = compileValue(argument, scope);
  const path = key.split('.');
  if (path.length > 1) return (attributes) => holds(path.reduce(readOwn, attributes));
  return (attributes) => holds(readOwn(attributes, key));
}

function allOf(predicates: readonly Predicate[]): Predicate {
  return (attributes) => {
    for (const predicate of predicates) if (!predicate(attributes)) return false;
    return true;
  };
}

/** Own properties only: an attribute named `constructor` is missing unless the client sent it. Missing reads as null. */
function readOwn(container: unknown, name: string): unknown {
  if (typeof container !== 'object' || container === null || !Object.hasOwn(container, name)) return null;
  return (container as Record<string, unknown>)[name] ?? null;
}
