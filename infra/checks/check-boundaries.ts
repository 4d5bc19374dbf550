// Checks the import directions between top-level folders and a few rules on files; prints every violation and fails.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** What each top-level folder may import, besides itself and packages. Composition of the local system may use everything. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  schemas: [],
  domain: ['schemas'],
  platform: ['schemas'],
  producers: ['schemas', 'domain', 'platform'],
  analytics: ['schemas', 'domain', 'platform', 'producers'],
  api: ['schemas', 'domain', 'platform', 'producers', 'analytics'],
  consumers: ['schemas', 'domain', 'platform'],
  workers: ['schemas', 'domain', 'platform', 'producers', 'analytics'],
  ops: ['schemas', 'domain', 'platform', 'producers', 'analytics'],
};
const forbiddenFolderNames = ['utils', 'helpers', 'common', 'core', 'misc'];
/** A consumer never imports another consumer, a service never another service. */
const separateFolders = ['consumers', 'api'];

const importPattern = /(?:from|import)\s*\(?\s*'([^']+)'/g;

type Violation = { file: string; problem: string };

/** Violations of one file, given by its path from the root and its text. */
export function findViolations(file: string, text: string): Violation[] {
  const violations: Violation[] = [];
  const [top = '', second = ''] = file.split('/');
  const isTest = /\.(test|contract)\.ts$/.test(file);
  const report = (problem: string): void => {
    violations.push({ file, problem });
  };
  if (file.split('/').some((part) => forbiddenFolderNames.includes(part)))
    report('lies in a folder whose name says nothing');
  if (!text.startsWith('//') && !text.startsWith('#!'))
    report('does not start with a one-sentence comment that says what it is for');
  const reachable = allowed[top];
  if (reachable === undefined) return violations;
  for (const [, specifier = ''] of text.matchAll(importPattern)) {
    if (specifier.startsWith('node:') && top === 'domain' && specifier !== 'node:crypto' && !isTest)
      report(`imports ${specifier}: domain does no I/O`);
    const target = specifier.startsWith('#')
      ? specifier.slice(1)
      : specifier.startsWith('.')
        ? normalize(join(dirname(file), specifier))
        : undefined;
    if (target === undefined) continue;
    const [targetTop = '', targetSecond = '', inFolder] = target.split('/');
    if (isTest && targetTop === 'tests') continue;
    if (targetTop !== top && !reachable.includes(targetTop) && !isTest)
      report(`imports ${specifier}: ${top} may import ${reachable.join(', ') || 'nothing'}`);
    // A service or group is a folder with a hyphen; what they share is a file, or a folder without one.
    const isNeighbor = targetSecond !== second && targetSecond.includes('-') && inFolder !== undefined;
    if (targetTop === top && separateFolders.includes(top) && isNeighbor)
      report(`imports ${specifier}: its neighbor ${targetSecond}`);
  }
  return violations;
}

/** Every TypeScript file that git knows or would add. */
export function checkBoundaries(root: string): Violation[] {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], {
    cwd: root,
    encoding: 'utf8',
  });
  return files
    .split('\n')
    .filter((file) => file !== '' && !file.includes('/generated/'))
    .flatMap((file) => {
      try {
        return findViolations(file, readFileSync(join(root, file), 'utf8'));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    });
}

if (import.meta.main) {
  const violations = checkBoundaries(join(import.meta.dirname, '..', '..'));
  for (const { file, problem } of violations) process.stdout.write(`${file}: ${problem}\n`);
  process.stdout.write(`boundaries: ${violations.length} violations\n`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
