// Property tests of definition files: no text makes reading and checking them fail or hang, and every problem has its place.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFileChecker } from './check-file.ts';
import { createDefinitionSet } from './definition-set.ts';
import { type LocatedProblem, parseYaml } from './yaml-source.ts';

const examples = ['experiments', 'policies'].map((name) =>
  readFileSync(new URL(`../../config/${name}.example.yml`, import.meta.url), 'utf8'),
);

const check = createFileChecker();

/** Everything that is wrong with the text, as `ops apply` finds it. */
function findProblems(file: string, text: string): readonly LocatedProblem[] {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed.problems;
  const { source } = parsed;
  const checked = check(source);
  if (!checked.ok) return checked.problems;
  const set = createDefinitionSet([{ source, content: checked.content }], () => false);
  return set.ok ? [] : set.problems;
}

function expectProblemsWithPlaces(text: string): void {
  for (const { file, line, column, message } of findProblems('any.yml', text)) {
    expect(file).toBe('any.yml');
    expect([line >= 1, column >= 1, message !== ''], JSON.stringify({ line, column, message })).toEqual([
      true,
      true,
      true,
    ]);
  }
}

const sprinkles = fc.constantFrom(
  '&a ',
  '*a',
  '<<: *a',
  '!!binary x',
  '!t ',
  '---\n',
  '...\n',
  '%YAML 1.1\n',
  '\t',
  '? ',
  ': ',
  '- ',
  '{',
  '[',
  '}',
  ']',
  "'",
  '"',
  '|\n',
  '>-\n',
  '\u0000',
  '\ud800',
  '\u2028',
  '\ufeff',
  '1e999',
  '.nan',
  '0x1f',
  '~',
  '__proto__: {x: 1}',
  'constructor: 1',
  'allocation: 1.00001',
  '0.5: [',
);

describe('a definition file', () => {
  it('may be any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), expectProblemsWithPlaces), { numRuns: 300 });
  });

  it('may be pieced together from what YAML finds special', () => {
    const piece = fc.oneof(
      sprinkles,
      fc.constantFrom('\n', '  ', 'key: ', 'experiments:\n', '  - key: a\n', 'variants: '),
      fc.string({ maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => expectProblemsWithPlaces(pieces.join(''))),
      { numRuns: 500 },
    );
  });

  it('may be a good one with anything cut out, put in or repeated', () => {
    const edit = fc.record({
      at: fc.nat(4_000),
      length: fc.nat(60),
      text: fc.oneof(sprinkles, fc.constant(''), fc.string({ maxLength: 8 })),
    });
    fc.assert(
      fc.property(fc.constantFrom(...examples), fc.array(edit, { minLength: 1, maxLength: 4 }), (example, edits) => {
        let text = example;
        for (const { at, length, text: put } of edits) {
          const start = at % (text.length + 1);
          text = text.slice(0, start) + put + text.slice(start + length);
        }
        expectProblemsWithPlaces(text);
      }),
      { numRuns: 300 },
    );
  });

  it('may hold any JSON', () => {
    const value = fc.jsonValue({ maxDepth: 4 });
    const inPlace = fc
      .tuple(fc.constantFrom('experiments', 'policies', 'metrics', 'x'), value)
      .map(([name, inner]) => ({ [name]: inner }));
    fc.assert(
      fc.property(fc.oneof(value, inPlace), (entry) => expectProblemsWithPlaces(JSON.stringify(entry))),
      { numRuns: 300 },
    );
  });

  it.each([
    ['deep lists', '['.repeat(20_000)],
    ['deep mappings', Array.from({ length: 3_000 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join('')],
    ['closed deep lists', `experiments: ${'['.repeat(5_000)}${']'.repeat(5_000)}`],
    ['many anchors', Array.from({ length: 5_000 }, (_, index) => `k${index}: &a${index} x\n`).join('')],
    [
      'aliases of aliases',
      `a: &a [x, x]\n${Array.from({ length: 30 }, (_, index) => `b${index}: &b${index} [*a, *a]\n`).join('')}`,
    ],
    ['a mapping that cannot be made a text', '{"experiments": {"toString": ""}}'],
    ['one long line', `experiments: "${'x'.repeat(1_000_000)}"`],
  ])('with %s is read or refused', (_, text) => {
    expectProblemsWithPlaces(text);
  });

  it('is told the first hundred of very many problems', () => {
    const problems = findProblems('any.yml', Array.from({ length: 1_000 }, (_, index) => `k${index}: 1\n`).join(''));
    expect(problems).toHaveLength(101);
    expect(problems.at(-1)!.message).toBe('and 900 more problems of this kind');
  });
});
