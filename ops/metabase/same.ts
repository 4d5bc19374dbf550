// Whether what Metabase has is what the definitions say: it adds keys of its own, changes the order of lists and leaves nulls out.

type Entry = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Paths at which `found` lacks or contradicts `wanted`; null and missing are the same. Keys that only `found` has are Metabase's own,
 * except in parts that are named by `exact`: there they are differences too.
 */
export function findDifferences(
  wanted: unknown,
  found: unknown,
  { path = '', exact = [] }: { path?: string; exact?: readonly string[] } = {},
): string[] {
  const at = (key: string | number): string => (path === '' ? String(key) : `${path}.${key}`);
  const isExact = exact.some((part) => path === part || path.startsWith(`${part}.`));
  if (Array.isArray(wanted)) {
    if (!Array.isArray(found) || found.length !== wanted.length) return [path];
    return wanted.flatMap((entry, index) => findDifferences(entry, found[index], { path: at(index), exact }));
  }
  if (isObject(wanted)) {
    if (!isObject(found)) return Object.keys(wanted).length === 0 && (found ?? null) === null ? [] : [path];
    const extra = isExact ? Object.keys(found).filter((key) => !(key in wanted) && found[key] !== null) : [];
    return [
      ...Object.entries(wanted).flatMap(([key, value]) => findDifferences(value, found[key], { path: at(key), exact })),
      ...extra.map(at),
    ];
  }
  return (wanted ?? null) === (found ?? null) ? [] : [path];
}

/** A list as an object by the name or id of its entries, so that their order and Metabase's shape of the day do not matter. */
export function byKey(list: unknown, key: string): Readonly<Record<string, unknown>> {
  if (isObject(list)) return list;
  if (!Array.isArray(list)) return {};
  return Object.fromEntries(list.map((entry: Entry) => [String(entry[key]), entry]));
}

/** The query of a card in comparable form: database, text, and variables by name. Null when it is no native query of one stage. */
export function describeQuery(query: unknown): { database: unknown; native: unknown; tags: Entry } | null {
  if (!isObject(query)) return null;
  const [stage, ...more] = Array.isArray(query.stages) ? (query.stages as unknown[]) : [];
  if (!isObject(stage) || more.length > 0) return null;
  return { database: query.database, native: stage.native, tags: byKey(stage['template-tags'], 'name') };
}
