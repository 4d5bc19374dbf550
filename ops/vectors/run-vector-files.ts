// Finds vector files below a folder, runs each by its kind, and says what passed.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import type { VectorKind, VectorReport } from './vector-kind.ts';

export type VectorFileReport = VectorReport & { path: string };
export type VectorRun = { files: VectorFileReport[]; ignored: string[]; passed: number; failed: number };

/** Runs every vector file below `directory`, in path order. Paths in the result are relative to it. */
export function runVectorFiles(directory: string, kinds: readonly VectorKind[]): VectorRun {
  const kindByFileName = new Map(kinds.map((kind) => [kind.fileName, kind]));
  const run: VectorRun = { files: [], ignored: [], passed: 0, failed: 0 };
  for (const path of listJsonFiles(directory)) {
    const kind = kindByFileName.get(basename(path));
    if (kind === undefined) {
      run.ignored.push(path);
      continue;
    }
    const report = runVectorFile(join(directory, path), kind);
    run.files.push({ path, ...report });
    run.passed += report.passed;
    run.failed += report.failed;
  }
  return run;
}

function listJsonFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && entry.name.endsWith('.json'))
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

function runVectorFile(path: string, kind: VectorKind): VectorReport {
  try {
    const report = kind.run(JSON.parse(readFileSync(path, 'utf8')));
    // A file without a single case proves nothing, so it must not look like a success.
    if (report.passed + report.failed > 0) return report;
    return { passed: 0, failed: 1, failures: ['the file holds no case'] };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { passed: 0, failed: 1, failures: [`cannot be run as ${kind.fileName}: ${message}`] };
  }
}
