// The tables of the metrics-aggregator as a recount sees them: keys, what must be equal, and how rows are narrowed to a part.

export type AggregateTable = {
  readonly name: string;
  readonly keys: readonly string[];
  /** Equal but for the rounding of another order of addition. */
  readonly close: readonly string[];
  readonly exact: readonly string[];
  /** Columns that Postgres computes itself. */
  readonly computed: readonly string[];
  /** The UTC day of a row that is about one window; null for tables that are about a unit's whole history. */
  readonly day: string | null;
};

const windowKeys = ['experiment_id', 'variant_id', 'metric_name', 'granularity', 'bucket_start'];
const unitKeys = ['experiment_id', 'unit_id', 'variant_id', 'metric_name'];
const windowDay = `(bucket_start AT TIME ZONE 'UTC')::date`;

export const aggregateTables: readonly AggregateTable[] = [
  {
    name: 'metric_aggregates',
    keys: windowKeys,
    close: ['sum', 'mean', 'm2'],
    exact: ['count', 'min', 'max'],
    computed: ['mean'],
    day: windowDay,
  },
  {
    name: 'metric_aggregate_bins',
    keys: [...windowKeys, 'bin'],
    close: [],
    exact: ['count'],
    computed: [],
    day: windowDay,
  },
  {
    name: 'unit_daily_metrics',
    keys: ['unit_type', 'unit_id', 'metric_name', 'day'],
    close: ['sum'],
    exact: ['count', 'min', 'max'],
    computed: [],
    day: 'day',
  },
  {
    name: 'first_exposures',
    keys: ['experiment_id', 'unit_id', 'variant_id'],
    close: [],
    exact: ['first_exposed_at'],
    computed: [],
    day: null,
  },
  { name: 'unit_metrics', keys: unitKeys, close: ['sum'], exact: ['count', 'min', 'max'], computed: [], day: null },
  {
    name: 'unit_pending_metrics',
    keys: [...unitKeys, 'event_date', 'event_id'],
    close: [],
    exact: ['value', 'event_time'],
    computed: [],
    day: null,
  },
];

/** SQL that is true when two rows with the same keys differ: exactly, or by more than 1e-9 relative. */
export function differenceSql(
  table: Pick<AggregateTable, 'exact' | 'close'>,
  stored: string,
  recounted: string,
): string {
  return [
    ...table.exact.map((column) => `${stored}.${column} IS DISTINCT FROM ${recounted}.${column}`),
    ...table.close.map(
      (column) =>
        `abs(${stored}.${column} - ${recounted}.${column}) > 1e-9 * greatest(abs(${stored}.${column}), abs(${recounted}.${column}), 1)`,
    ),
  ].join(' OR ');
}

/**
 * SQL of the keys of all rows that only one side has or that differ.
 * @param scope Condition on rows of either side, by column name.
 */
export function differingKeysSql(table: AggregateTable, scope: string): string {
  const keys = table.keys.join(', ');
  const witness = table.exact[0]!;
  return `SELECT ${keys}, a.${witness} IS NULL AS is_missing, b.${witness} IS NULL AS is_surplus
    FROM (SELECT * FROM exp.${table.name} WHERE ${scope}) a
    FULL JOIN (SELECT * FROM pg_temp.recount_${table.name} WHERE ${scope}) b USING (${keys})
    WHERE a.${witness} IS NULL OR b.${witness} IS NULL OR ${differenceSql(table, 'a', 'b')}`;
}

export type RepairStatements = { readonly recount: string; readonly remove: string; readonly upsert: string };

/** Statements that make the stored rows of the scope those of the recount; rows that agree are not written. */
export function repairStatements(table: AggregateTable, scope: string): RepairStatements {
  const { name, keys, exact } = table;
  const close = table.close.filter((column) => !table.computed.includes(column));
  const columns = [...keys, ...exact, ...close].join(', ');
  return {
    recount: `CREATE TEMPORARY TABLE recounted_${name} ON COMMIT DROP AS
      SELECT ${columns} FROM pg_temp.recount_${name} WHERE ${scope}`,
    remove: `DELETE FROM exp.${name} t WHERE ${scope} AND NOT EXISTS (
      SELECT FROM pg_temp.recounted_${name} r WHERE ${keys.map((key) => `r.${key} = t.${key}`).join(' AND ')})`,
    upsert: `INSERT INTO exp.${name} AS t (${columns}) SELECT ${columns} FROM pg_temp.recounted_${name}
      ON CONFLICT (${keys.join(', ')}) DO UPDATE SET ${[...exact, ...close].map((column) => `${column} = excluded.${column}`).join(', ')}
      WHERE ${differenceSql({ exact, close }, 't', 'excluded')}`,
  };
}
