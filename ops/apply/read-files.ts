// Reads definition files and reports everything that is wrong with all of them at once.
import { readFile } from 'node:fs/promises';
import { createFileChecker } from '#domain/definitions/check-file.ts';
import type { SourceFile } from '#domain/definitions/definition-set.ts';
import { type LocatedProblem, parseYaml } from '#domain/definitions/yaml-source.ts';
import { FatalError } from '#platform/errors.ts';

export type ReadFiles =
  | { readonly ok: true; readonly files: readonly SourceFile[] }
  | { readonly ok: false; readonly problems: readonly LocatedProblem[] };

/** @throws FatalError when a file cannot be read. */
export async function readDefinitionFiles(paths: readonly string[]): Promise<ReadFiles> {
  const texts = await Promise.all(paths.map(async (path) => ({ path, text: await readText(path) })));
  return parseDefinitionFiles(texts);
}

export function parseDefinitionFiles(texts: readonly { readonly path: string; readonly text: string }[]): ReadFiles {
  const check = createFileChecker();
  const problems: LocatedProblem[] = [];
  const files: SourceFile[] = [];
  for (const { path, text } of texts) {
    const parsed = parseYaml(path, text);
    if (!parsed.ok) {
      problems.push(...parsed.problems);
      continue;
    }
    const checked = check(parsed.source);
    if (checked.ok) files.push({ source: parsed.source, content: checked.content });
    else problems.push(...checked.problems);
  }
  return problems.length === 0 ? { ok: true, files } : { ok: false, problems };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new FatalError(`cannot read ${path}`, { code: 'config-invalid', cause: error });
  }
}
