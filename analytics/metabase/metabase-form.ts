// Puts the definitions into Metabase's own words, the same for its REST API and for its YAML: only ids of other entities differ.
import { cardsOfDashboard, readSql } from './catalogue.ts';
import { entityIdOf, tagIdOf } from './fixed-ids.ts';
import type { CardSpec, Chart, ColumnFormat, DashboardSpec, FilterSpec, ModelSpec } from './spec.ts';
import { listTags } from './template-tags.ts';

export type MetabaseTag = {
  readonly id: string;
  readonly name: string;
  readonly 'display-name': string;
  readonly type: 'text' | 'date';
  readonly required?: true;
  readonly default?: string;
};

type Target = readonly ['variable', readonly ['template-tag', string]];
export type MetabaseParameter<Id> = {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  readonly type: 'string/=' | 'date/single';
  readonly sectionId: 'string' | 'date';
  readonly target?: Target;
  readonly default?: string | readonly string[];
  readonly required?: true;
  readonly isMultiSelect?: false;
  readonly values_query_type?: 'list';
  readonly values_source_type?: 'card';
  readonly values_source_config?: { readonly card_id: Id; readonly value_field: readonly unknown[] };
};
export type ParameterMapping<Id> = { readonly parameter_id: string; readonly card_id: Id; readonly target: Target };

const formats: Readonly<Record<ColumnFormat, object>> = {
  percent: { number_style: 'percent', decimals: 1 },
  'signed-percent': { number_style: 'percent', decimals: 1, show_mini_bar: false },
  usd: { number_style: 'currency', currency: 'USD', decimals: 4 },
  ms: { decimals: 0, suffix: ' ms' },
  score: { decimals: 4 },
};

/** Keys of column settings are JSON texts: so Metabase stores them. */
const columnSettings = (columns: Readonly<Record<string, object>>): object =>
  Object.fromEntries(Object.entries(columns).map(([name, settings]) => [JSON.stringify(['name', name]), settings]));

/** Metabase checks none of these names: a wrong one shows nothing. The tests compare them with the columns of results. */
function toVisualizationSettings(chart: Chart): Readonly<Record<string, unknown>> {
  if (chart.display === 'scalar') {
    const { field, format } = chart;
    return {
      'scalar.field': field,
      ...(format === undefined ? {} : { column_settings: columnSettings({ [field]: formats[format] }) }),
    };
  }
  if (chart.display === 'table') {
    const settings = Object.fromEntries(
      Object.entries(chart.columns).map(([name, title]) => {
        const format = chart.formats?.[name];
        return [name, { column_title: title, ...(format === undefined ? {} : formats[format]) }];
      }),
    );
    return {
      'table.columns': Object.keys(chart.columns).map((name) => ({ name, enabled: true })),
      column_settings: columnSettings(settings),
    };
  }
  const { dimensions, metrics, isStacked = false, axis, format } = chart;
  return {
    'graph.dimensions': dimensions,
    'graph.metrics': metrics,
    'graph.x_axis.labels_enabled': false,
    'graph.y_axis.title_text': axis,
    ...(isStacked ? { 'stackable.stack_type': 'stacked' } : {}),
    ...(format === undefined
      ? {}
      : { column_settings: columnSettings(Object.fromEntries(metrics.map((name) => [name, formats[format]]))) }),
  };
}

const filtersOf = (card: CardSpec | ModelSpec, filters: readonly FilterSpec[]): FilterSpec[] =>
  listTags(readSql(card)).map((tag) => {
    const filter = filters.find(({ name }) => name === tag);
    if (filter === undefined) throw new Error(`${card.key}: {{${tag}}} is no filter of its dashboard`);
    return filter;
  });

function toTags(card: CardSpec | ModelSpec, filters: readonly FilterSpec[]): MetabaseTag[] {
  return filtersOf(card, filters).map(({ name, title, type, default: fallback }) => ({
    id: tagIdOf(card.key, name),
    name,
    'display-name': title,
    type,
    ...(fallback === undefined ? {} : { required: true, default: fallback }),
  }));
}

const typeOf = ({ type }: FilterSpec) =>
  type === 'date'
    ? ({ type: 'date/single', sectionId: 'date' } as const)
    : ({ type: 'string/=', sectionId: 'string' } as const);
const targetOf = (name: string): Target => ['variable', ['template-tag', name]];

/** Parameters of a card on its own: one per variable, with the id of the variable. */
function toCardParameters(card: CardSpec, filters: readonly FilterSpec[]): MetabaseParameter<never>[] {
  return filtersOf(card, filters).map((filter) => ({
    id: tagIdOf(card.key, filter.name),
    name: filter.title,
    slug: filter.name,
    ...typeOf(filter),
    target: targetOf(filter.name),
    ...(filter.default === undefined ? {} : { default: filter.default }),
  }));
}

/** The filters of a dashboard; `idOf` knows the cards that list values. */
export function toDashboardParameters<Id>(
  dashboard: DashboardSpec,
  idOf: (card: CardSpec) => Id,
): MetabaseParameter<Id>[] {
  return dashboard.filters.map((filter) => ({
    id: tagIdOf(dashboard.key, filter.name),
    name: filter.title,
    slug: filter.name,
    ...typeOf(filter),
    ...(filter.default === undefined ? {} : { default: [filter.default], required: true }),
    // A variable that is compared with "=" takes one value.
    ...(filter.type === 'text' ? { isMultiSelect: false } : {}),
    ...(filter.source === undefined
      ? {}
      : {
          values_query_type: 'list',
          values_source_type: 'card',
          values_source_config: {
            card_id: idOf(filter.source.card),
            value_field: ['field', filter.source.column, { 'base-type': 'type/Text' }],
          },
        }),
  }));
}

export function toParameterMappings<Id>(
  dashboard: DashboardSpec,
  card: CardSpec,
  idOf: (card: CardSpec) => Id,
): ParameterMapping<Id>[] {
  return filtersOf(card, dashboard.filters).map(({ name }) => ({
    parameter_id: tagIdOf(dashboard.key, name),
    card_id: idOf(card),
    target: targetOf(name),
  }));
}

/** What Metabase knows of a model's columns. */
const toResultMetadata = ({ columns }: ModelSpec): object[] =>
  columns.map(({ name, title, description, type }) => ({
    name,
    display_name: title,
    description,
    base_type: `type/${type}`,
  }));

/** The text above the cards. */
export const toTextSettings = (text: string): object => ({
  virtual_card: { name: null, display: 'text', visualization_settings: {}, dataset_query: {}, archived: false },
  text,
});

/** The filters that a card can follow: those of its dashboard, or none. */
function filtersFor(card: CardSpec, dashboards: readonly DashboardSpec[]): readonly FilterSpec[] {
  return dashboards.find((dashboard) => cardsOfDashboard(dashboard).includes(card))?.filters ?? [];
}

export type CardContent = {
  readonly name: string;
  readonly description: string;
  readonly entity_id: string;
  readonly type: 'question' | 'model';
  readonly display: string;
  readonly visualization_settings: Readonly<Record<string, unknown>>;
  readonly parameters: readonly object[];
  readonly result_metadata?: readonly object[];
};

/** What a card or model is in every Metabase, but for its query, which names the database, and its collection. */
export function toCardContent(card: CardSpec | ModelSpec, dashboards: readonly DashboardSpec[]): CardContent {
  const { key, name, description } = card;
  const common = { name, description, entity_id: entityIdOf(key) };
  if ('columns' in card)
    return {
      ...common,
      type: 'model',
      display: 'table',
      visualization_settings: {},
      parameters: [],
      result_metadata: toResultMetadata(card),
    };
  return {
    ...common,
    type: 'question',
    display: card.chart.display,
    visualization_settings: toVisualizationSettings(card.chart),
    parameters: toCardParameters(card, filtersFor(card, dashboards)),
  };
}

/** A query of one stage; `tags` are a list in YAML and by name in the REST API. */
export const toQuery = <Database, Tags>(database: Database, native: string, tags: Tags) => ({
  'lib/type': 'mbql/query',
  database,
  stages: [{ 'lib/type': 'mbql.stage/native', native, 'template-tags': tags }],
});

/** The variables of a card or model; a model has none. */
export const tagsOf = (card: CardSpec | ModelSpec, dashboards: readonly DashboardSpec[]): MetabaseTag[] =>
  toTags(card, 'columns' in card ? [] : filtersFor(card, dashboards));
