// The Python sources of the repository pass ruff, and the typed ones mypy in strict mode.
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { pythonWith } from '#tests/support/python-venv.ts';

const root = join(import.meta.dirname, '..', '..');

test.each([
  ['ruff', ['check', '--no-cache', '.']],
  ['ruff', ['format', '--no-cache', '--check', '.']],
  ['mypy', ['--cache-dir', '/dev/null']],
])('%s %j finds nothing', { timeout: 180_000 }, async (program, args) => {
  const bin = dirname(await pythonWith('requirements-checks.txt'));
  const result = await promisify(execFile)(join(bin, program), args, { cwd: root }).catch((error) => error);
  expect(result.code ?? 0, `${result.stdout}${result.stderr}`).toBe(0);
});
