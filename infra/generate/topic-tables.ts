// The tables of topics and processes in docs/architecture.md, from the topic catalogue and the process specifications.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Topic, topics } from '#schemas/topics.ts';
import { processSpecs } from '../system/process-specs.ts';
import { type GeneratedFile, replaceGeneratedPart, toMarkdownTable } from './generated-file.ts';

const dayMs = 86_400_000;
const mebibyte = 1_048_576;
const catalogue: readonly Topic[] = Object.values(topics);
/** Writers of the catalogue that run inside a service instead of being a process of their own. */
const hostOfWriter: Readonly<Record<string, string>> = { 'assignment-publisher': 'assignment-service' };

const code = (text: string): string => `\`${text}\``;
const list = (items: readonly string[], none: string): string => (items.length === 0 ? none : items.join(', '));

function describeRetention(topic: Topic): string {
  return topic.cleanup === 'compact' ? 'compacted, kept for ever' : `deleted after ${topic.retentionMs / dayMs} days`;
}

export function topicTable(): string {
  return toMarkdownTable(
    ['topic', 'purpose', 'key, and why', 'order', 'written by', 'read by'],
    catalogue.map((topic) => [
      code(topic.name),
      topic.purpose,
      `${code(topic.key ?? 'none')}: ${topic.keyReason}`,
      topic.ordering,
      list(topic.writers, 'nobody'),
      list([...topic.groups.map((group) => `group ${group}`), ...topic.followers], 'nobody'),
    ]),
  );
}

export function topicSettingsTable(): string {
  return toMarkdownTable(
    ['topic', 'partitions', 'retention', 'largest record', 'value schema', 'compatibility', 'dead letters go to'],
    catalogue.map((topic) => [
      code(topic.name),
      String(topic.partitions),
      describeRetention(topic),
      `${topic.maxRecordBytes / mebibyte} MiB`,
      topic.valueSchema,
      topic.compatibility,
      topic.deadLetterTopic === null ? 'none' : code(topic.deadLetterTopic),
    ]),
  );
}

export function processTable(): string {
  return toMarkdownTable(
    ['process', 'entry', 'database role', 'reads', 'writes', 'local port'],
    processSpecs.map((spec) => {
      const reads = catalogue.filter(
        (topic) => topic.groups.includes(spec.name) || topic.followers.includes(spec.name),
      );
      const writes = catalogue.filter((topic) =>
        topic.writers.some((writer) => (hostOfWriter[writer] ?? writer) === spec.name),
      );
      return [
        spec.name,
        code(spec.entry),
        code(spec.role),
        list(
          reads.map((topic) => code(topic.name)),
          'HTTP requests',
        ),
        list(
          writes.map((topic) => code(topic.name)),
          'no topic itself',
        ),
        String(spec.defaultPort),
      ];
    }),
  );
}

/** docs/architecture.md with its generated parts up to date. */
export function generateArchitecturePage(root: string): GeneratedFile {
  const path = 'docs/architecture.md';
  const parts: readonly (readonly [string, string])[] = [
    ['topics', topicTable()],
    ['topic settings', topicSettingsTable()],
    ['processes', processTable()],
  ];
  const text = parts.reduce(
    (page, [name, body]) => replaceGeneratedPart(page, name, body),
    readFileSync(join(root, path), 'utf8'),
  );
  return { path, text };
}
