// The rules by which Metabase makes SQL of a query with variables.
import { describe, expect, it } from 'vitest';
import { expandTemplate } from './expand-template.ts';

const tags = [
  { name: 'a', type: 'text' as const },
  { name: 'b', type: 'date' as const },
  { name: 'n', type: 'number' as const },
  { name: 'd', type: 'text' as const, default: 'fallback' },
];

describe('a query with variables', () => {
  it('keeps an optional part when each of its variables has a value, and drops it otherwise', () => {
    const sql = 'SELECT 1 WHERE true [[AND x = {{a}}]] [[AND y > {{b}} AND x <> {{a}}]]';
    expect(expandTemplate(sql, tags, {})).toEqual({ sql: 'SELECT 1 WHERE true', values: [] });
    expect(expandTemplate(sql, tags, { a: 'v' })).toEqual({
      sql: 'SELECT 1 WHERE true AND x = $1::varchar',
      values: ['v'],
    });
    expect(expandTemplate(sql, tags, { a: 'v', b: '2026-01-05' })).toEqual({
      sql: 'SELECT 1 WHERE true AND x = $1::varchar AND y > $2::date AND x <> $3::varchar',
      values: ['v', '2026-01-05', 'v'],
    });
  });

  it('binds one placeholder per value of a list, and writes numbers into the text', () => {
    expect(expandTemplate('SELECT {{n}} WHERE x IN ({{a}})', tags, { n: 5, a: ['p', 'q'] })).toEqual({
      sql: 'SELECT 5 WHERE x IN ($1::varchar, $2::varchar)',
      values: ['p', 'q'],
    });
  });

  it('takes the default where no value is given, and refuses what has neither', () => {
    expect(expandTemplate('SELECT {{ d }}', tags, {}).values).toEqual(['fallback']);
    expect(expandTemplate('SELECT {{d}}', tags, { d: 'given' }).values).toEqual(['given']);
    expect(() => expandTemplate('SELECT {{a}}, {{b}}', tags, {})).toThrow('missing required parameters: a, b');
  });

  it('does not see variables in comments, but does see them in quotes and in comments of an optional part', () => {
    const sql = "SELECT 1 -- {{a}} [[\n/* {{b}} */ , '{{d}}'";
    expect(expandTemplate(sql, tags, {}).values).toEqual(['fallback']);
    expect(expandTemplate('SELECT 1 [[/* {{a}} */]]', tags, { a: 'v' }).sql).toBe('SELECT 1 /* $1::varchar */');
  });

  it('opens a variable at the last two of three braces', () => {
    expect(expandTemplate('SELECT {{{a}}}', tags, { a: 'v' }).sql).toBe('SELECT {$1::varchar}');
  });

  it('refuses an optional part without a variable, an end that is missing, a name that is empty or unknown', () => {
    expect(() => expandTemplate('SELECT 1 [[AND true]]', tags, {})).toThrow('has no variable');
    expect(() => expandTemplate('SELECT 1 [[AND {{a}}', tags, {})).toThrow('no terminating "]]"');
    expect(() => expandTemplate('SELECT {{a', tags, {})).toThrow('no terminating "}}"');
    expect(() => expandTemplate('SELECT {{ }}', tags, {})).toThrow('has no name');
    expect(() => expandTemplate('SELECT {{z}}', tags, {})).toThrow('not among its template tags');
  });
});
