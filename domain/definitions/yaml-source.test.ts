// Tests that every part of a YAML text is found at its line and column.
import { describe, expect, test } from 'vitest';
import { formatPath, formatProblem, parseYaml, type YamlSource } from './yaml-source.ts';

const text = `experiments:
  - key: a
    forced_variants:
      user.with[dots]: control
    variants:
      - name: control
        allocation: 0.5
        config: &shared { params: { color: blue } }
      - { name: treatment, allocation: 0.7, config: *shared }
`;

function parse(yaml: string): YamlSource {
  const parsed = parseYaml('a.yml', yaml);
  if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join('\n'));
  return parsed.source;
}

test('locates scalars at their value, and lists and mappings at their key', () => {
  const source = parse(text);
  expect(source.locate(['experiments', 0, 'variants', 0, 'allocation'])).toEqual({ line: 7, column: 21 });
  expect(source.locate(['experiments', 0, 'variants', 1, 'allocation'])).toEqual({ line: 9, column: 40 });
  expect(source.locate(['experiments', 0, 'variants'])).toEqual({ line: 5, column: 5 });
  expect(source.locate(['experiments', 0])).toEqual({ line: 2, column: 5 });
});

test('locates what is missing at the nearest thing around it', () => {
  const source = parse(text);
  expect(source.locate(['experiments', 0, 'unit_type'])).toEqual({ line: 2, column: 5 });
  expect(source.locate(['policies'])).toEqual({ line: 1, column: 1 });
});

test('follows aliases to the text that they stand for', () => {
  const path = ['experiments', 0, 'variants', 1, 'config', 'params', 'color'];
  expect(parse(text).locate(path)).toEqual({ line: 8, column: 44 });
});

test('locates paths written as text, also through keys with dots and brackets', () => {
  const source = parse(text);
  expect(source.locateText(['experiments', 0], 'variants[1].allocation')).toEqual({ line: 9, column: 40 });
  expect(source.locateText(['experiments', 0], 'forced_variants.user.with[dots]')).toEqual({ line: 4, column: 24 });
  expect(source.locateText(['experiments', 0], 'coverage')).toEqual({ line: 2, column: 5 });
});

describe('refuses, with the place', () => {
  test.each([
    ['a syntax error', 'a:\n  - b\n - c\n', 3],
    ['a key that is there twice', 'a: 1\nb: 2\na: 3\n', 3],
    ['a second document', 'a: 1\n---\nb: 2\n', 2],
    ['an unknown tag', 'a: 1\nb: !secret x\n', 2],
  ])('%s', (_, yaml, line) => {
    const parsed = parseYaml('a.yml', yaml);
    expect(parsed.ok ? [] : parsed.problems.map((problem) => problem.line)).toContain(line);
  });

  test('aliases that would unfold into a huge document', () => {
    const levels = Array.from({ length: 12 }, (_, level) =>
      level === 0
        ? 'l0: &l0 [x]'
        : `l${level}: &l${level} [${Array(10)
            .fill(`*l${level - 1}`)
            .join(', ')}]`,
    );
    expect(parseYaml('bomb.yml', levels.join('\n'))).toMatchObject({ ok: false });
  });
});

test('times stay text, so that they keep the zone that was written', () => {
  expect(parse('at: 2026-12-01T06:00:00+01:00').value).toEqual({ at: '2026-12-01T06:00:00+01:00' });
});

test('a problem is one line that editors can jump to', () => {
  const problem = {
    file: 'a.yml',
    line: 3,
    column: 7,
    path: formatPath(['experiments', 0, 'key']),
    message: 'is wrong',
  };
  expect(formatProblem(problem)).toBe('a.yml:3:7: experiments[0].key: is wrong');
});
