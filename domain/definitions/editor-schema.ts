// The JSON Schema of definition files as published for editors, in config/schemas/definitions.schema.json.
import { definitionFileSchema } from './file-schema.ts';

/** Formats that only our validator knows would make editors warn. */
const ownFormats = ['storable-text'];

/** The text of the published file. */
export function renderEditorSchema(): string {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Trialstream definitions',
    description: 'Experiments, policies and metrics for `ops apply`',
    ...definitionFileSchema,
  };
  const text = JSON.stringify(
    schema,
    (key, value: unknown) => (key === 'format' && ownFormats.includes(String(value)) ? undefined : value),
    2,
  );
  return `${text}\n`;
}
