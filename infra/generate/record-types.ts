// TypeScript types of the records on the wire, from their Avro schemas.
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { type RecordSchemaName, recordSchemas } from '#schemas/topics.ts';
import type { GeneratedFile } from './generated-file.ts';

type AvroField = { readonly name: string; readonly type: unknown; readonly doc?: string };
type AvroRecord = {
  readonly type: 'record';
  readonly name: string;
  readonly doc?: string;
  readonly fields: readonly AvroField[];
};

const primitives: Readonly<Record<string, string>> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  bytes: 'Buffer',
  string: 'string',
};

/** The TypeScript type of an Avro type as avsc decodes it, with unions unwrapped. @throws for what the catalogue does not use. */
export function toTypeScript(type: unknown): string {
  if (typeof type === 'string') {
    const primitive = primitives[type];
    if (primitive === undefined) throw new Error(`no TypeScript type for the Avro type "${type}"`);
    return primitive;
  }
  if (Array.isArray(type)) return [...new Set(type.map(toTypeScript))].join(' | ');
  const schema = type as { type: unknown; items?: unknown; values?: unknown; fields?: readonly AvroField[] };
  switch (schema.type) {
    case 'array': {
      const item = toTypeScript(schema.items);
      return item.includes(' | ') ? `(${item})[]` : `${item}[]`;
    }
    case 'map':
      return `Record<string, ${toTypeScript(schema.values)}>`;
    case 'record':
      return `{ ${schema.fields!.map((field) => `${field.name}: ${toTypeScript(field.type)}`).join('; ')} }`;
    default:
      // A primitive with a logical type stays the primitive: instants are numbers of milliseconds on the wire.
      return toTypeScript(schema.type);
  }
}

function toRecordType(schema: AvroRecord): string {
  const fields = schema.fields.flatMap((field) => [
    ...(field.doc === undefined ? [] : [`  /** ${field.doc} */`]),
    `  ${field.name}: ${toTypeScript(field.type)};`,
  ]);
  return [
    ...(schema.doc === undefined ? [] : [`/** ${schema.doc} */`]),
    `export type ${schema.name}Record = {`,
    ...fields,
    '};',
  ].join('\n');
}

export function generateRecordTypes(): GeneratedFile {
  const names = Object.keys(recordSchemas) as RecordSchemaName[];
  const types = names.map((name) => toRecordType(loadRecordSchema(name) as unknown as AvroRecord));
  const header = '// Generated from schemas/*.avsc by "npm run generate": do not edit.';
  return { path: 'schemas/generated/records.ts', text: `${header}\n${types.join('\n\n')}\n` };
}
