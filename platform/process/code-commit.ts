// The commit of the running code, for records of what made what.
import { execFileSync } from 'node:child_process';

/** The commit of the checkout that this file is in, or null where there is no git or no checkout. */
export function findCodeCommit(): string | null {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}
