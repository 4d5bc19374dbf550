// Values of command-line options: text in, typed value out, with a message that says what was expected.
import { InvalidArgumentError } from 'commander';
import { FatalError } from '#platform/errors.ts';

const instantPattern = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** An instant with its zone, or a calendar day, which is its start in UTC. */
export function parseInstant(text: string): Date {
  const time = instantPattern.test(text) ? new Date(text) : undefined;
  if (
    time === undefined ||
    Number.isNaN(time.getTime()) ||
    (text.length === 10 && !time.toISOString().startsWith(text))
  )
    throw new InvalidArgumentError(
      'expected a time with its zone such as 2026-01-05T14:00:00Z, or a day such as 2026-01-05',
    );
  return time;
}

/** A calendar day, kept as text. */
export function parseDay(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) throw new InvalidArgumentError('expected a day such as 2026-01-05');
  parseInstant(text);
  return text;
}

/** A window of time or days, half-open; an absent bound is open. @throws FatalError when nothing can lie in it. */
export function refuseEmptyWindow<T extends Date | string>({
  from,
  to,
}: {
  from?: T | null | undefined;
  to?: T | null | undefined;
}): void {
  if (from != null && to != null && from >= to)
    throw new FatalError('the window is empty: --from must be before --to', { code: 'config-invalid' });
}

/** Why something is done: words that the next reader finds, so not nothing. */
export function parseReason(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('expected some words that say why');
  return text;
}

/** A whole number from 0 on. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('expected a whole number');
  return value;
}

export function parsePositiveInteger(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value === 0)
    throw new InvalidArgumentError('expected a positive integer');
  return value;
}

/** Kafka partitions: `3` or `0,4,7`. */
export function parsePartitions(text: string): number[] {
  const parts = text.split(',');
  if (!parts.every((part) => /^\d{1,6}$/.test(part)))
    throw new InvalidArgumentError('expected partition numbers such as 3 or 0,4,7');
  return [...new Set(parts.map(Number))].sort((a, b) => a - b);
}
