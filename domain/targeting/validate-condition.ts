// Tells the author of a condition what in it could never work, with the path of each problem.

import { isJsonObject, isOperatorObject, type JsonValue } from './condition.ts';
import { operators } from './operators.ts';

/** `path` leads to the part that is wrong, such as `$or[1].age.$gt`; it is empty for the condition itself. */
export type ConditionProblem = { readonly path: string; readonly message: string };

export type ValidateConditionOptions = {
  /** When given, `$inGroup` and `$notInGroup` must name one of these. */
  readonly savedGroupIds?: ReadonlySet<string>;
};

const MAX_DEPTH = 20;
const MAX_PATTERN_LENGTH = 1_000;
const logicalOperators = ['$and', '$or', '$nor', '$not'];
const listOperators = ['$in', '$nin', '$ini', '$nini', '$all', '$alli'];
const versionOperators = ['$veq', '$vne', '$vlt', '$vlte', '$vgt', '$vgte'];
const typeNames = ['string', 'number', 'boolean', 'array', 'object', 'null'];

/** Lists every problem of a condition; an empty list means that it can be stored. The argument may be any parsed value. */
export function validateCondition(condition: unknown, options: ValidateConditionOptions = {}): ConditionProblem[] {
  return findClauseProblems(condition, { path: '', depth: 0, options });
}

type Place = { readonly path: string; readonly depth: number; readonly options: ValidateConditionOptions };

const problemAt = ({ path }: Place, message: string): ConditionProblem[] => [{ path, message }];
const keyBelow = (place: Place, key: string): Place => ({ ...place, path: place.path ? `${place.path}.${key}` : key });
const deeper = (place: Place): Place => ({ ...place, depth: place.depth + 1 });

function findClauseProblems(clauses: unknown, place: Place): ConditionProblem[] {
  if (!isJsonObject(clauses)) return problemAt(place, 'a condition must be an object of attribute paths and operators');
  if (place.depth > MAX_DEPTH) return problemAt(place, `conditions may be nested at most ${MAX_DEPTH} deep`);
  return Object.entries(clauses).flatMap(([key, argument]) => {
    const below = keyBelow(place, key);
    if (key === '$not') return findClauseProblems(argument, deeper(below));
    if (logicalOperators.includes(key)) return findPartProblems(argument, deeper(below));
    if (isMisplacedOperator(key, argument)) {
      return problemAt(
        below,
        `only ${logicalOperators.join(', ')} combine conditions; other operators belong below an attribute`,
      );
    }
    if (key.split('.').includes('')) return problemAt(below, 'an attribute path has no empty part');
    return findValueProblems(argument, below);
  });
}

function findPartProblems(parts: JsonValue, place: Place): ConditionProblem[] {
  if (!Array.isArray(parts) || parts.length === 0)
    return problemAt(place, 'a list of at least one condition is needed');
  return parts.flatMap((part, index) => findClauseProblems(part, { ...place, path: `${place.path}[${index}]` }));
}

function findValueProblems(value: JsonValue, place: Place): ConditionProblem[] {
  if (place.depth > MAX_DEPTH) return problemAt(place, `conditions may be nested at most ${MAX_DEPTH} deep`);
  if (!isJsonObject(value)) return [];
  if (isOperatorObject(value)) {
    return Object.entries(value).flatMap(([name, argument]) =>
      findOperatorProblems(name, argument, keyBelow(place, name)),
    );
  }
  if (!Object.keys(value).some((key) => key.startsWith('$'))) return [];
  return problemAt(place, 'operators and plain keys are mixed, so the object would be compared as a value');
}

function findOperatorProblems(name: string, argument: JsonValue, place: Place): ConditionProblem[] {
  if (!Object.hasOwn(operators, name)) {
    return problemAt(place, `unknown operator; the known ones are ${Object.keys(operators).join(', ')}`);
  }
  if (name === '$not' || name === '$size' || (name === '$elemMatch' && isOperatorObject(argument))) {
    return findValueProblems(argument, deeper(place));
  }
  if (name === '$elemMatch') return findClauseProblems(argument, deeper(place));
  const problem = findArgumentProblem(name, argument, place.options);
  return problem === null ? [] : problemAt(place, problem);
}

/** An attribute may be named `$groups`; a known operator, or something that takes a list of conditions, is a mistake. */
function isMisplacedOperator(key: string, argument: JsonValue): boolean {
  if (!key.startsWith('$')) return false;
  const looksLogical = Array.isArray(argument) || (isJsonObject(argument) && !isOperatorObject(argument));
  return looksLogical || Object.hasOwn(operators, key);
}

function findArgumentProblem(name: string, argument: JsonValue, options: ValidateConditionOptions): string | null {
  if (listOperators.includes(name)) {
    if (!Array.isArray(argument)) return `${name} needs a list`;
    return argument.length === 0 ? `${name} needs at least one value` : null;
  }
  if (versionOperators.includes(name)) {
    return typeof argument === 'string' && /^v?\d/.test(argument) ? null : `${name} needs a version such as "1.2.3"`;
  }
  switch (name) {
    case '$exists':
      return typeof argument === 'boolean' ? null : '$exists needs true or false';
    case '$type':
      return typeNames.includes(String(argument)) ? null : `$type needs one of ${typeNames.join(', ')}`;
    case '$regex':
    case '$regexi':
      return findPatternProblem(argument);
    case '$inGroup':
    case '$notInGroup':
      if (typeof argument !== 'string') return `${name} needs the id of a saved group`;
      if (options.savedGroupIds === undefined || options.savedGroupIds.has(argument)) return null;
      return `there is no saved group ${argument}`;
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte':
      return typeof argument === 'number' || typeof argument === 'string' ? null : `${name} needs a number or a text`;
    default:
      return isScalar(argument)
        ? null
        : `${name} needs a text, number, boolean or null; write lists and objects without it`;
  }
}

function findPatternProblem(pattern: JsonValue): string | null {
  if (typeof pattern !== 'string') return 'a pattern must be a text';
  if (pattern.length > MAX_PATTERN_LENGTH) return `a pattern may have at most ${MAX_PATTERN_LENGTH} characters`;
  try {
    new RegExp(pattern);
  } catch (error) {
    return error instanceof Error ? error.message : 'not a valid pattern';
  }
  // A repeated group that repeats inside, as in (a+)+, can take exponential time on texts that clients send.
  return /[+*}][^()]*\)[+*{]/.test(pattern)
    ? 'a repeated group must not contain a repetition: it could take very long'
    : null;
}

function isScalar(value: JsonValue): boolean {
  return typeof value !== 'object' || value === null;
}
