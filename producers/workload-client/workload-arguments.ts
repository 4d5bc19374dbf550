// Parsers of command line arguments that the workloads share.

import { InvalidArgumentError } from 'commander';

export function parsePositiveInteger(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('expected a whole number above 0');
}

/** A calendar date such as 2026-01-05. */
export function parseDate(text: string): string {
  const parsed = new Date(`${text}T00:00:00Z`);
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(text)) {
    return text;
  }
  throw new InvalidArgumentError('expected a date such as 2026-01-05');
}

/** `variant=number`, added to what earlier uses of the option gave; a variant may be named once. */
export function collectByVariant(bounds: { readonly least: number; readonly most: number }) {
  return (text: string, earlier: Readonly<Record<string, number>> = {}): Record<string, number> => {
    const [, variant = '', number = ''] = /^([^=]+)=([+-]?[\d.]+)$/.exec(text) ?? [];
    const value = Number(number);
    if (variant === '' || number === '' || Number.isNaN(value)) {
      throw new InvalidArgumentError('expected VARIANT=NUMBER, such as candidate=+0.05');
    }
    if (value < bounds.least || value > bounds.most) {
      throw new InvalidArgumentError(`expected a number from ${bounds.least} to ${bounds.most}`);
    }
    if (Object.hasOwn(earlier, variant)) throw new InvalidArgumentError(`${variant} is given twice`);
    return { ...earlier, [variant]: value };
  };
}
