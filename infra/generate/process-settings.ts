// Finds the settings of every process by convention: config.ts beside its main.ts, and *-config.ts of the operators' commands.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ConfigSchema, listSettings, type Setting } from '#platform/config/settings.ts';
import { processSpecs } from '../system/process-specs.ts';

export type ProcessSettings = {
  /** Folder name, or `ops-<command>`: the name of its reference file. */
  readonly name: string;
  /** File of the schema, relative to the repository root. */
  readonly source: string;
  readonly schema: ConfigSchema;
  readonly settings: readonly Setting<unknown>[];
};

const processFolders = ['api', 'consumers', 'workers'];

function isConfigSchema(value: unknown): value is ConfigSchema {
  return typeof value === 'object' && value !== null && 'shape' in value && 'rules' in value;
}

function findSources(root: string): { name: string; source: string }[] {
  const ofFolders = processFolders.flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(root, folder, entry.name, 'config.ts')))
      .map((entry) => ({ name: entry.name, source: `${folder}/${entry.name}/config.ts` })),
  );
  const ofCommands = readdirSync(join(root, 'ops'))
    .filter((file) => file.endsWith('-config.ts'))
    .map((file) => ({ name: `ops-${file.slice(0, -'-config.ts'.length)}`, source: `ops/${file}` }));
  const order = processSpecs.map((spec): string => spec.name);
  const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length);
  return [...ofFolders, ...ofCommands].sort(
    (a, b) => rank(a.name) - rank(b.name) || (a.source < b.source ? -1 : a.source > b.source ? 1 : 0),
  );
}

/** Every process with its settings, services and groups first. @throws when a config file does not export exactly one schema. */
export async function listProcessSettings(root: string): Promise<ProcessSettings[]> {
  return Promise.all(
    findSources(root).map(async ({ name, source }) => {
      const module: Record<string, unknown> = await import(pathToFileURL(join(root, source)).href);
      const schemas = Object.values(module).filter(isConfigSchema);
      const [schema] = schemas;
      if (schema === undefined || schemas.length > 1)
        throw new Error(`${source} exports ${schemas.length} config schemas and must export one`);
      return { name, source, schema, settings: listSettings(schema.shape) };
    }),
  );
}
