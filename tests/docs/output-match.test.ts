// Tests of comparing output with a page: what may differ, and that a difference is found.
import { describe, expect, it } from 'vitest';
import { findJsonDifference, findMissingLine, findOutputProblem } from './output-match.ts';

describe('lines', () => {
  const printed = 'group   lag\nsink      0\nother     7\n\noutbox: 0 rows, oldest 12 s\n';

  it('come one after the other, with … for what differs and any width of columns', () => {
    expect(findMissingLine('group lag\nsink …\nother 7\n\noutbox: 0 rows, oldest … s', printed)).toBeNull();
    expect(findMissingLine('group lag\n…\noutbox: …', printed)).toBeNull();
  });

  it('are missing when they differ, lie further on, or come in another order', () => {
    expect(findMissingLine('group lag\nsink 1', printed)).toBe('sink 1');
    expect(findMissingLine('group lag\nother 7', printed)).toBe('other 7');
    expect(findMissingLine('…\nother 7\n…\nsink 0', printed)).toBe('sink 0');
    expect(findMissingLine('a.c', 'abc')).toBe('a.c');
  });
});

describe('JSON', () => {
  it('has what the page shows and may have more', () => {
    const value = { id: 'x-1', list: [{ a: 1, b: 2 }, { a: 3 }], none: null };
    expect(findJsonDifference({ id: 'x-…', list: [{ a: 1 }, '…'], none: null }, value)).toBeNull();
    expect(findJsonDifference({ id: '…' }, value)).toBeNull();
  });

  it('differs with the path of the first difference', () => {
    expect(findJsonDifference({ a: { b: [1, 2] } }, { a: { b: [1, 3] } })).toBe('$.a.b[1]');
    expect(findJsonDifference({ a: [1] }, { a: [1, 2] })).toBe('$.a.length');
    expect(findJsonDifference({ a: '…' }, {})).toBe('$.a');
    expect(findJsonDifference({ a: 1 }, { a: '1' })).toBe('$.a');
    expect(findJsonDifference({ a: {} }, { a: null })).toBe('$.a');
  });
});

describe('a problem', () => {
  it('says what the page promises and what was printed', () => {
    expect(findOutputProblem({ language: 'text', text: 'yes' }, 'no\n')).toContain('yes');
    expect(findOutputProblem({ language: 'json', text: '{"a":1}' }, '{"a":2}')).toContain('$.a');
    expect(findOutputProblem({ language: 'json', text: '{}' }, 'sorry')).toContain('sorry');
    expect(findOutputProblem({ language: 'json', text: '{"a":1}' }, '{"a":1,"b":2}\n')).toBeNull();
  });
});
