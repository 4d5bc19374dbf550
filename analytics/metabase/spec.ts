// What models, cards and dashboards are made of: data only, with no ids of any Metabase in it.

/** How a column of a result is shown. */
export type ColumnFormat = 'percent' | 'usd' | 'ms' | 'score' | 'signed-percent';

/** Columns by their names in the result of the query; the first dimension is the horizontal axis, a second one makes the series. */
export type Chart =
  | { readonly display: 'scalar'; readonly field: string; readonly format?: ColumnFormat }
  | {
      readonly display: 'line' | 'bar' | 'area' | 'row';
      readonly dimensions: readonly [string] | readonly [string, string];
      readonly metrics: readonly [string, ...string[]];
      readonly isStacked?: boolean;
      readonly axis: string;
      readonly format?: ColumnFormat;
    }
  | {
      readonly display: 'table';
      /** Every column of the result in order: its name and its title. */
      readonly columns: Readonly<Record<string, string>>;
      readonly formats?: Readonly<Record<string, ColumnFormat>>;
    };

export type CardSpec = {
  /** Fixed for ever: the id of the card is made from it. */
  readonly key: string;
  readonly name: string;
  readonly description: string;
  /** Path of its query below `analytics/metabase/sql`, without `.sql`. */
  readonly sql: string;
  /** Texts that take the place of `$name` in the query, for cards that differ in nothing else. */
  readonly constants?: Readonly<Record<string, string>>;
  readonly chart: Chart;
};

/** A model column: its title, what it means, and its type in Metabase's words. */
export type ModelColumn = {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly type:
    | 'Text'
    | 'Integer'
    | 'BigInteger'
    | 'Float'
    | 'Date'
    | 'DateTimeWithLocalTZ'
    | 'Boolean'
    | 'UUID'
    | 'JSON';
};

export type ModelSpec = Omit<CardSpec, 'chart' | 'constants'> & { readonly columns: readonly ModelColumn[] };

export type FilterName = 'experiment' | 'variant' | 'policy_version' | 'metric' | 'from' | 'to';

export type FilterSpec = {
  readonly name: FilterName;
  readonly title: string;
  readonly type: 'text' | 'date';
  /** The card that lists the values to choose from, and its column. */
  readonly source?: { readonly card: CardSpec; readonly column: string };
  /** The value when none is given: the filter is never off then. */
  readonly default?: string;
};

/** A row of cards from left to right; widths are of 24 columns. */
export type DashboardRow = {
  readonly height: number;
  readonly cards: readonly { readonly width: number; readonly card: CardSpec }[];
};

export type DashboardSpec = {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  /** Stands above the cards, in Markdown. */
  readonly introduction: string;
  readonly filters: readonly FilterSpec[];
  readonly rows: readonly DashboardRow[];
};
