// Tests of the boundary check: it finds what it is there to find.
import { describe, expect, it } from 'vitest';
import { findViolations } from './check-boundaries.ts';

const comment = '// A file.\n';
const problems = (file: string, line: string): string[] =>
  findViolations(file, `${comment}${line}\n`).map(({ problem }) => problem);

describe('check-boundaries', () => {
  it.each([
    ['domain/a/b.ts', "import { x } from '#platform/errors.ts';"],
    ['domain/a/b.ts', "import { readFileSync } from 'node:fs';"],
    ['platform/a.ts', "import { x } from '#domain/a.ts';"],
    ['platform/a.ts', "import { x } from '../consumers/a/b.ts';"],
    ['consumers/a-b/c.ts', "import { x } from '../d-e/c.ts';"],
    ['consumers/a-b/c.ts', "import { x } from '#producers/a/b.ts';"],
    ['platform/utils/a.ts', ''],
  ])('refuses in %s: %s', (file, line) => {
    expect(problems(file, line)).toHaveLength(1);
  });

  it.each([
    ['domain/a/b.ts', "import { createHash } from 'node:crypto';"],
    ['api/authentication.ts', "import { x } from '#producers/a/b.ts';"],
    ['consumers/a-b/c.test.ts', "import { x } from '#tests/support/poll.ts';"],
    ['api/a-service/app.ts', "import { x } from '../authentication.ts';"],
    ['api/a-service/app.ts', "import { x } from '#api/rate-limit.ts';"],
  ])('accepts in %s: %s', (file, line) => {
    expect(problems(file, line)).toEqual([]);
  });

  it('wants a first line that says what the file is for', () => {
    expect(findViolations('ops/a.ts', 'export {};')).toHaveLength(1);
  });
});
