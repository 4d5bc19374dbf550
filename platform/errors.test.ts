// Tests of the error classification: known codes go to their class and everything else stops the process.
import { describe, expect, it } from 'vitest';
import { classifyError, describeError, FatalError, RecordError, RetryableError } from '#platform/errors.ts';

const withCode = (code: string): Error => Object.assign(new Error('x'), { code });

describe('classifyError', () => {
  it.each([
    ['ECONNREFUSED', 'retryable'],
    ['57P01', 'retryable'],
    ['08006', 'retryable'],
    ['40P01', 'retryable'],
    ['22003', 'record'],
    ['23514', 'record'],
    ['42P01', 'fatal'],
    ['UNKNOWN_THING', 'fatal'],
  ])('maps code %s to %s', (code, expected) => {
    expect(classifyError(withCode(code))).toBe(expected);
  });

  it('follows the taxonomy of our own errors', () => {
    expect(classifyError(new RetryableError('x', { code: 'dependency-unavailable' }))).toBe('retryable');
    expect(classifyError(new RecordError('x', { code: 'record-rejected' }))).toBe('record');
    expect(classifyError(new FatalError('x', { code: 'unexpected' }))).toBe('fatal');
  });

  it('treats values that are not errors as fatal', () => {
    for (const value of [undefined, null, 'text', 7, {}]) expect(classifyError(value)).toBe('fatal');
  });

  it('retries an aggregate only when each part may be retried', () => {
    expect(classifyError(new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNREFUSED')]))).toBe('retryable');
    expect(classifyError(new AggregateError([withCode('ECONNREFUSED'), new Error('other')]))).toBe('fatal');
  });
});

describe('describeError', () => {
  it('joins the chain of causes', () => {
    expect(describeError(new FatalError('outer', { code: 'unexpected', cause: new Error('inner') }))).toBe(
      'outer: inner',
    );
  });
});
