// The difference of two definitions as a flat list of changed paths, for the audit trail and for plans that people read.

export type DefinitionChange = {
  /** Such as `coverage`, `variants[1].config.params.temperature`. */
  readonly path: string;
  /** Missing when the value was added. */
  readonly before?: unknown;
  /** Missing when the value was removed. */
  readonly after?: unknown;
};

/** Lists what differs, in the order of the first definition. Both are plain JSON values; key order is no difference. */
export function diffDefinitions(before: unknown, after: unknown): DefinitionChange[] {
  return diffValues(before, after, '');
}

function diffValues(before: unknown, after: unknown, path: string): DefinitionChange[] {
  if (Object.is(before, after)) return [];
  if (before === undefined) return [{ path, after }];
  if (after === undefined) return [{ path, before }];
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after)) {
    return [{ path, before, after }];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) =>
    diffValues(ownValue(before, key), ownValue(after, key), pathBelow(before, path, key)),
  );
}

function isContainer(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function ownValue(container: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(container, key) ? container[key] : undefined;
}

function pathBelow(container: object, path: string, key: string): string {
  if (Array.isArray(container)) return `${path}[${key}]`;
  return path === '' ? key : `${path}.${key}`;
}
