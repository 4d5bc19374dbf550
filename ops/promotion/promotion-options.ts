// Options of `ops promote start`: text in, typed value out, with a message that says what was expected.
import { InvalidArgumentError } from 'commander';
import type { JsonObject } from '#domain/targeting/condition.ts';

export type GuardrailOption = { readonly metric: string; readonly bound?: number };

/** `planner_model/3`. */
export function parseModelVersion(text: string): { name: string; version: number } {
  const [, name, version] = /^(.+)\/([1-9]\d{0,8})$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('expected a registered model version such as planner_model/3');
  return { name, version: Number(version) };
}

function parseShare(text: string): number {
  const share = Number(text);
  if (!/^\d(\.\d+)?$/.test(text.trim()) || share > 1)
    throw new InvalidArgumentError(`"${text}" is not a share between 0 and 1`);
  return share;
}

/** `0.01,0.05,0.1`. */
export const parseShares = (text: string): number[] => text.split(',').map(parseShare);

export const parseHold = (text: string): number | null => (text === 'none' ? null : parseShare(text));

const secondsPerUnit = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** Seconds, or a number with its unit such as `5m` or `2h`. */
export function parseDuration(text: string): number {
  const [, number, unit = ''] = /^(\d{1,7})([smhd]?)$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('expected seconds, or a time such as 90s, 5m, 2h or 1d');
  return Number(number) * secondsPerUnit[unit as keyof typeof secondsPerUnit];
}

/** `METRIC` or `METRIC:BOUND`, collected. */
export function addGuardrail(text: string, earlier: readonly GuardrailOption[] | undefined): GuardrailOption[] {
  const [metric = '', bound, ...rest] = text.split(':');
  if (metric === '' || rest.length > 0 || (bound !== undefined && !/^\d+(\.\d+)?$/.test(bound)))
    throw new InvalidArgumentError('expected a metric such as latency, or with its largest accepted harm, latency:0.5');
  return [...(earlier ?? []), { metric, ...(bound === undefined ? {} : { bound: Number(bound) }) }];
}

/** `name=value`, collected; a number, true, false and null are what they look like, everything else is text. */
export function addParam(text: string, earlier: JsonObject | undefined): JsonObject {
  const [, name, value = ''] = /^([A-Za-z_][A-Za-z0-9_.-]*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('expected name=value, such as batch_wait_ms=50');
  const isLiteral = /^(-?\d+(\.\d+)?|true|false|null)$/.test(value);
  return { ...earlier, [name]: isLiteral ? JSON.parse(value) : value };
}
