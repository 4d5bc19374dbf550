// The kinds of values that parameters of jobs have.
import type { JobParameter } from './job-kind.ts';

type Options = { required?: boolean };

const parameter = (
  description: string,
  expected: string,
  parse: JobParameter['parse'],
  { required = false }: Options = {},
): JobParameter => ({ description, required, expected, parse });

/** An instant with its zone or a calendar day, kept in UTC. */
export const instantParameter = (description: string): JobParameter =>
  parameter(description, 'a time with its zone such as 2026-01-05T14:00:00Z, or a day such as 2026-01-05', (text) => {
    if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)) return undefined;
    const time = new Date(text);
    if (Number.isNaN(time.getTime()) || (text.length === 10 && !time.toISOString().startsWith(text))) return undefined;
    return time.toISOString();
  });

export const choiceParameter = (description: string, choices: readonly string[]): JobParameter =>
  parameter(description, `one of ${choices.join(', ')}`, (text) => (choices.includes(text) ? text : undefined));

export const numberParameter = (
  description: string,
  { min, max, integer }: { min: number; max: number; integer: boolean },
): JobParameter =>
  parameter(description, `${integer ? 'an integer' : 'a number'} from ${min} to ${max}`, (text) => {
    const value = Number(text);
    const isNumber = text.trim() === text && text !== '' && Number.isFinite(value);
    return isNumber && (!integer || Number.isInteger(value)) && value >= min && value <= max
      ? String(value)
      : undefined;
  });

/** Text for the command line of a program: one line that is no option. */
export const textParameter = (description: string, options: Options = {}): JobParameter =>
  parameter(
    description,
    'one line of text that does not begin with "-"',
    (text) => (/^(?!-)\P{Cc}{1,500}$/u.test(text) ? text : undefined),
    options,
  );
