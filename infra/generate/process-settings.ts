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

type Source = { readonly source: string; readonly name: (exportName: string) => string };

/** `clusterConfig` of the operators' commands is `ops-cluster`. */
const nameOfCommand = (exportName: string): string =>
  `ops-${exportName.replace(/Config$/, '').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function findSources(root: string): Source[] {
  const ofFolders = processFolders.flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(root, folder, entry.name, 'config.ts')))
      .map((entry) => ({ name: () => entry.name, source: `${folder}/${entry.name}/config.ts` })),
  );
  const ofCommands = readdirSync(join(root, 'ops'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('-config.ts'))
    .map((file) => ({ name: nameOfCommand, source: `ops/${file}` }));
  return [...ofFolders, ...ofCommands];
}

/** Every process with its settings, services and groups first. @throws when a config file of a process does not export exactly one schema. */
export async function listProcessSettings(root: string): Promise<ProcessSettings[]> {
  const found = await Promise.all(
    findSources(root).map(async ({ name, source }) => {
      const module: Record<string, unknown> = await import(pathToFileURL(join(root, source)).href);
      const schemas = Object.entries(module).filter((entry): entry is [string, ConfigSchema] =>
        isConfigSchema(entry[1]),
      );
      if (schemas.length === 0 || (schemas.length > 1 && name !== nameOfCommand))
        throw new Error(`${source} exports ${schemas.length} config schemas and must export one`);
      return schemas.map(([exportName, schema]) => ({
        name: name(exportName),
        source,
        schema,
        settings: listSettings(schema.shape),
      }));
    }),
  );
  const order = processSpecs.map((spec): string => spec.name);
  const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length);
  return found.flat().sort((a, b) => rank(a.name) - rank(b.name) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
