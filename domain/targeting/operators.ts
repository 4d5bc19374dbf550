// The operators on one attribute value, each turning its argument into a predicate once.

import { isJsonObject, isOperatorObject, type JsonValue, type SavedGroups } from './condition.ts';
import { toSortableVersion } from './version-order.ts';

export type Predicate = (value: unknown) => boolean;

/** What compiling needs besides the argument; `compileCondition` comes in here because `$elemMatch` nests conditions. */
export type CompileScope = {
  readonly savedGroups: SavedGroups;
  readonly compileCondition: (condition: JsonValue) => Predicate;
};

type OperatorCompiler = (argument: JsonValue, scope: CompileScope) => Predicate;

export const never: Predicate = () => false;
const not =
  (predicate: Predicate): Predicate =>
  (value) =>
    !predicate(value);

// JavaScript's own order and coercion is the specified behavior: "8" > 5, and a missing (null) value compares as 0.
const comparison =
  (holds: (actual: number, expected: number) => boolean): OperatorCompiler =>
  (expected) =>
  (actual) =>
    holds(actual as number, expected as number);

const versionComparison =
  (holds: (actual: string, expected: string) => boolean): OperatorCompiler =>
  (argument) => {
    const expected = toSortableVersion(argument);
    return (actual) => holds(toSortableVersion(actual), expected);
  };

const foldCase = (value: unknown): unknown => (typeof value === 'string' ? value.toLowerCase() : value);

/** True when the value, or one element of an array value, is in the list. */
function isAmong(list: readonly JsonValue[], ignoreCase = false): Predicate {
  const members = new Set<unknown>(ignoreCase ? list.map(foldCase) : list);
  const isMember: Predicate = ignoreCase ? (value) => members.has(foldCase(value)) : (value) => members.has(value);
  return (actual) => (Array.isArray(actual) ? actual.some(isMember) : isMember(actual));
}

// A list operator whose argument is no list never holds, not even in its negated form.
const membership =
  ({ ignoreCase = false, negate = false }): OperatorCompiler =>
  (argument) => {
    if (!Array.isArray(argument)) return never;
    const predicate = isAmong(argument, ignoreCase);
    return negate ? not(predicate) : predicate;
  };

function groupMembers(argument: JsonValue, { savedGroups }: CompileScope): readonly JsonValue[] {
  const group = Object.hasOwn(savedGroups, String(argument)) ? savedGroups[String(argument)] : undefined;
  return Array.isArray(group) ? group : [];
}

const containsAll =
  (ignoreCase: boolean): OperatorCompiler =>
  (argument, scope) => {
    if (!Array.isArray(argument)) return never;
    const wanted = argument.map((element: JsonValue) => compileValue(element, scope, ignoreCase));
    return (actual) =>
      Array.isArray(actual) && wanted.every((predicate) => actual.some((element) => predicate(element)));
  };

const matches =
  (flags: string): OperatorCompiler =>
  (pattern) => {
    if (typeof pattern !== 'string') return never;
    try {
      const expression = new RegExp(pattern, flags);
      return (actual) => expression.test(actual as string);
    } catch {
      return never;
    }
  };

const typeName = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

export const operators: Readonly<Record<string, OperatorCompiler>> = {
  $eq: (expected) => (actual) => actual === expected,
  $ne: (expected) => (actual) => actual !== expected,
  $lt: comparison((actual, expected) => actual < expected),
  $lte: comparison((actual, expected) => actual <= expected),
  $gt: comparison((actual, expected) => actual > expected),
  $gte: comparison((actual, expected) => actual >= expected),
  $veq: versionComparison((actual, expected) => actual === expected),
  $vne: versionComparison((actual, expected) => actual !== expected),
  $vlt: versionComparison((actual, expected) => actual < expected),
  $vlte: versionComparison((actual, expected) => actual <= expected),
  $vgt: versionComparison((actual, expected) => actual > expected),
  $vgte: versionComparison((actual, expected) => actual >= expected),
  $exists: (expected) => (actual) => (expected ? actual !== null : actual === null),
  $in: membership({}),
  $nin: membership({ negate: true }),
  $ini: membership({ ignoreCase: true }),
  $nini: membership({ ignoreCase: true, negate: true }),
  $inGroup: (argument, scope) => isAmong(groupMembers(argument, scope)),
  $notInGroup: (argument, scope) => not(isAmong(groupMembers(argument, scope))),
  $not: (argument, scope) => not(compileValue(argument, scope)),
  $size: (argument, scope) => {
    const hasSize = compileValue(argument, scope);
    return (actual) => Array.isArray(actual) && hasSize(actual.length);
  },
  $elemMatch: (argument, scope) => {
    const holds = isOperatorObject(argument) ? compileValue(argument, scope) : scope.compileCondition(argument);
    // Falsy elements (0, "", null) never match: so says the specification's reference.
    return (actual) => Array.isArray(actual) && actual.some((element) => Boolean(element) && holds(element));
  },
  $all: containsAll(false),
  $alli: containsAll(true),
  $regex: matches(''),
  $regexi: matches('i'),
  $type: (expected) => (actual) => typeName(actual) === expected,
};

/** Compiles what stands to the right of an attribute path: operators, or a value to be equal to. */
export function compileValue(condition: JsonValue, scope: CompileScope, ignoreCase = false): Predicate {
  if (isOperatorObject(condition)) {
    const predicates = Object.entries(condition).map(([name, argument]) =>
      Object.hasOwn(operators, name) ? operators[name]!(argument, scope) : never,
    );
    return predicates.length === 1 ? predicates[0]! : (value) => predicates.every((predicate) => predicate(value));
  }
  if (isJsonObject(condition) || Array.isArray(condition)) {
    const expected = JSON.stringify(condition);
    return (actual) => JSON.stringify(actual) === expected;
  }
  // Scalars compare after coercion to the type of the expected one: "10" equals 10, and 1 equals true.
  switch (typeof condition) {
    case 'string': {
      if (!ignoreCase) return (actual) => `${actual}` === condition;
      const expected = condition.toLowerCase();
      return (actual) => `${actual}`.toLowerCase() === expected;
    }
    case 'number':
      return (actual) => (actual as number) * 1 === condition;
    case 'boolean':
      return (actual) => actual !== null && Boolean(actual) === condition;
    default:
      return (actual) => actual === null;
  }
}
