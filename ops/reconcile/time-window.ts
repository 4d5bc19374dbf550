// The window of a reconciliation and the conditions that narrow rows to it; pure.
import { FatalError } from '#platform/errors.ts';
import { refuseEmptyWindow } from '../command-line/option-values.ts';
import type { AggregateTable } from './aggregate-tables.ts';

/** Event times, half-open, at full UTC hours; null is open. */
export type TimeWindow = { readonly from: Date | null; readonly to: Date | null };

const hourMs = 3_600_000;

/** @throws FatalError when a bound is not a full hour, or the window is empty. */
export function checkWindow({ from, to }: TimeWindow): void {
  for (const bound of [from, to]) {
    if (bound !== null && bound.getTime() % hourMs !== 0)
      throw new FatalError(`${bound.toISOString()} is not the start of an hour`, { code: 'config-invalid' });
  }
  refuseEmptyWindow({ from, to });
}

export const isWholeHistory = ({ from, to }: TimeWindow): boolean => from === null && to === null;

const literal = (time: Date): string => `'${time.toISOString()}'::timestamptz`;

const conjunction = (conditions: readonly string[]): string =>
  conditions.length === 0 ? 'true' : conditions.map((condition) => `(${condition})`).join(' AND ');

/** Condition on events `e`. The days let Postgres leave partitions out. */
export function eventScopeSql({ from, to }: TimeWindow): string {
  return conjunction([
    ...(from === null
      ? []
      : [`e.event_time >= ${literal(from)} AND e.event_date >= '${from.toISOString().slice(0, 10)}'`]),
    ...(to === null ? [] : [`e.event_time < ${literal(to)} AND e.event_date <= '${to.toISOString().slice(0, 10)}'`]),
  ]);
}

/** Condition on rows of a table with a day: hours inside the window, and days that lie in it whole. */
export function windowScopeSql(table: AggregateTable, { from, to }: TimeWindow): string {
  const isGranular = table.keys.includes('bucket_start');
  const start = isGranular ? 'bucket_start' : `${table.day}::timestamp AT TIME ZONE 'UTC'`;
  const length = isGranular
    ? `CASE granularity WHEN 'hour' THEN interval '1 hour' ELSE interval '1 day' END`
    : `interval '1 day'`;
  return conjunction([
    ...(from === null ? [] : [`${start} >= ${literal(from)}`]),
    ...(to === null ? [] : [`${start} + ${length} <= ${literal(to)}`]),
  ]);
}
