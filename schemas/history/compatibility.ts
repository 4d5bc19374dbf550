// Whether records of one schema can be read with another, judged by avsc's resolution, with the field that stands in the way.
import avro from 'avsc';

export type CompatibilityMode = 'BACKWARD_TRANSITIVE' | 'FULL_TRANSITIVE';
export type SchemaVersion = { readonly version: number; readonly schema: avro.Schema };

type Field = { name: string; type: unknown; default?: unknown; aliases?: readonly string[] };
type Complex = { type: unknown; fields?: readonly Field[]; items?: unknown; values?: unknown };

/** A type of its own: names declared by another schema are not known in it. */
function typeOf(schema: unknown): avro.Type {
  return avro.Type.forSchema(schema as avro.Schema, { registry: {} });
}

function refusal(reader: unknown, writer: unknown): string | undefined {
  try {
    typeOf(reader).createResolver(typeOf(writer));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const fieldsOf = (schema: unknown): readonly Field[] | undefined => (schema as Complex).fields;
const elementOf = (schema: unknown): unknown => (schema as Complex).items ?? (schema as Complex).values;

/** The innermost field that stands in the way, such as `experiments.variant_id`; undefined when the refusal is not about a field. */
function findField(reader: unknown, writer: unknown): { path: string; problem: string } | undefined {
  const [readerElement, writerElement] = [elementOf(reader), elementOf(writer)];
  if (readerElement !== undefined && writerElement !== undefined) return findField(readerElement, writerElement);
  const [readerFields, writerFields] = [fieldsOf(reader), fieldsOf(writer)];
  if (readerFields === undefined || writerFields === undefined) return undefined;
  for (const field of readerFields) {
    const names = [field.name, ...(field.aliases ?? [])];
    const written = writerFields.find(({ name }) => names.includes(name));
    if (written === undefined) {
      if (!('default' in field)) return { path: field.name, problem: 'is not in those records and has no default' };
      continue;
    }
    const problem = refusal(field.type, written.type);
    if (problem === undefined) continue;
    const inner = findField(field.type, written.type);
    return inner === undefined
      ? { path: field.name, problem }
      : { path: `${field.name}.${inner.path}`, problem: inner.problem };
  }
  return undefined;
}

function explain(reader: avro.Schema, writer: avro.Schema): string | undefined {
  const problem = refusal(reader, writer);
  if (problem === undefined) return undefined;
  const found = findField(reader, writer);
  return found === undefined ? problem : `field "${found.path}" ${found.problem}`;
}

/** What keeps `schema` from following the earlier versions, one line each; empty when it is compatible with all of them. */
export function findIncompatibilities(
  schema: avro.Schema,
  earlier: readonly SchemaVersion[],
  mode: CompatibilityMode,
): string[] {
  return earlier.flatMap(({ version, schema: old }) => {
    const backward = explain(schema, old);
    const forward = mode === 'FULL_TRANSITIVE' ? explain(old, schema) : undefined;
    return [
      ...(backward === undefined ? [] : [`it cannot read records of version ${version}: ${backward}`]),
      ...(forward === undefined ? [] : [`readers of version ${version} cannot read its records: ${forward}`]),
    ];
  });
}
