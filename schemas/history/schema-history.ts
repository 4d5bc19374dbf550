// The released versions of every topic's value schema, and the rule that the next one must follow from all of them.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { recordSchemas, type Topic } from '#schemas/topics.ts';
import { findIncompatibilities, type SchemaVersion } from './compatibility.ts';

/** A record written with a released version: decoded by every later release. */
export type SampleRecord = { readonly hex: string; readonly value: unknown };

const versionFile = /^([1-9]\d*)\.avsc$/;

export function historyPath(folder: string, topic: string, version: number, kind: 'avsc' | 'sample.json'): string {
  return join(folder, topic, `${version}.${kind}`);
}

/** Released versions of a topic in ascending order. @throws when a number is left out. */
export function listVersions(folder: string, topic: string): SchemaVersion[] {
  const path = join(folder, topic);
  if (!existsSync(path)) return [];
  const versions = readdirSync(path)
    .flatMap((file) => versionFile.exec(file)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const gap = versions.findIndex((version, index) => version !== index + 1);
  if (gap !== -1) throw new Error(`${topic}: version ${gap + 1} is missing in ${path}`);
  return versions.map((version) => ({
    version,
    schema: JSON.parse(readFileSync(historyPath(folder, topic, version, 'avsc'), 'utf8')),
  }));
}

export function readSample(folder: string, topic: string, version: number): SampleRecord {
  return JSON.parse(readFileSync(historyPath(folder, topic, version, 'sample.json'), 'utf8'));
}

const sameSchema = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

type Catalogue = readonly Pick<Topic, 'name' | 'valueSchema' | 'compatibility'>[];

/**
 * Problems of all topics, one line each. The current schema must be the newest release, or compatible with every release by the
 * topic's mode; so must each release with those before it. `schemas` holds the current .avsc files, `folder` the history.
 */
export function findHistoryProblems(options: { catalogue: Catalogue; schemas: string; folder: string }): string[] {
  return options.catalogue.flatMap((topic) => {
    const file = recordSchemas[topic.valueSchema];
    const versions = listVersions(options.folder, topic.name);
    if (versions.length === 0) return [`${topic.name}: no version in the history: run "npm run schemas:release"`];
    const current = JSON.parse(readFileSync(join(options.schemas, file), 'utf8'));
    const next = sameSchema(current, versions.at(-1)!.schema)
      ? []
      : [{ name: file, schema: current, earlier: versions }];
    const released = versions.map(({ version, schema }, index) => ({
      name: `version ${version}`,
      schema,
      earlier: versions.slice(0, index),
    }));
    const incompatible = [...released, ...next].flatMap(({ name, schema, earlier }) =>
      findIncompatibilities(schema, earlier, topic.compatibility).map(
        (problem) => `${topic.name}: ${name} is not ${topic.compatibility}: ${problem}`,
      ),
    );
    const withoutSample = versions
      .filter(({ version }) => !existsSync(historyPath(options.folder, topic.name, version, 'sample.json')))
      .map(({ version }) => `${topic.name}: version ${version} has no sample record`);
    return [...incompatible, ...withoutSample];
  });
}

/** Adds each current schema that differs from its newest release as the next version; returns the files written. */
export function releaseSchemas(options: { catalogue: Catalogue; schemas: string; folder: string }): string[] {
  return options.catalogue.flatMap((topic) => {
    const text = readFileSync(join(options.schemas, recordSchemas[topic.valueSchema]), 'utf8');
    const versions = listVersions(options.folder, topic.name);
    const newest = versions.at(-1);
    if (newest !== undefined && sameSchema(JSON.parse(text), newest.schema)) return [];
    const path = historyPath(options.folder, topic.name, versions.length + 1, 'avsc');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return [path];
  });
}
