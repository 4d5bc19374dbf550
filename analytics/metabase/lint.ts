// What Metabase would not say: filters without effect, columns that do not exist, cards beside the grid.
import { type Catalogue, cardsOfDashboard, gridWidth, listCards, readSql } from './catalogue.ts';
import { entityIdOf } from './fixed-ids.ts';
import type { CardSpec, DashboardSpec, FilterSpec } from './spec.ts';
import { listTags } from './template-tags.ts';

/** Names of the columns that a chart shows; they must be in the result of its query. */
export function columnsOfChart({ chart }: CardSpec): string[] {
  if (chart.display === 'scalar') return [chart.field];
  if (chart.display === 'table') return Object.keys(chart.columns);
  return [...chart.dimensions, ...chart.metrics];
}

function findRepeated(values: readonly string[]): string[] {
  return values.filter((value, index) => values.indexOf(value) !== index);
}

function checkQuery(key: string, sql: string, filters: readonly FilterSpec[]): string[] {
  const problems: string[] = [];
  if (sql.endsWith(';'))
    problems.push('the query ends with a semicolon, which Metabase would run as a second statement');
  if (/'\{\{/.test(sql)) problems.push('a variable stands between quotes: it would be quoted twice');
  if (/\{\{\s*#/.test(sql)) problems.push('refers to a card by its number, which is another one in every Metabase');
  const optional = [...sql.matchAll(/\[\[([\s\S]*?)\]\]/g)].map(([, part]) => part!);
  if (optional.some((part) => listTags(part).length === 0)) problems.push('an optional part has no variable');
  const names = filters.map(({ name }): string => name);
  for (const tag of listTags(sql)) {
    const filter = filters.find(({ name }) => name === tag);
    if (filter === undefined) problems.push(`{{${tag}}} is no filter of its dashboard (${names.join(', ') || 'none'})`);
    else if (filter.default === undefined && !optional.some((part) => listTags(part).includes(tag)))
      problems.push(`{{${tag}}} is not optional and has no default: the card fails until somebody chooses`);
  }
  return problems.map((problem) => `${key}: ${problem}`);
}

function checkDashboard(dashboard: DashboardSpec): string[] {
  const problems = dashboard.rows
    .map(({ cards }) => cards.reduce((sum, { width }) => sum + width, 0))
    .flatMap((width, index) =>
      width === gridWidth ? [] : [`row ${index + 1} is ${width} of ${gridWidth} columns wide`],
    );
  const cards = cardsOfDashboard(dashboard).map((card) => ({ card, tags: listTags(readSql(card)) }));
  const common = dashboard.filters.filter(({ default: fallback }) => fallback === undefined);
  for (const { card, tags } of cards)
    for (const { name } of common)
      if (!tags.includes(name)) problems.push(`${card.key} does not follow the filter ${name}`);
  for (const { name } of dashboard.filters)
    if (!cards.some(({ tags }) => tags.includes(name))) problems.push(`no card follows the filter ${name}`);
  return problems.map((problem) => `${dashboard.key}: ${problem}`);
}

/** Everything that is wrong with the definitions, without a database. */
export function findProblems(catalogue: Catalogue): string[] {
  const { models, filterCards, dashboards } = catalogue;
  const entries = [...models, ...listCards(catalogue)];
  const keys = [...entries.map(({ key }) => key), ...dashboards.map(({ key }) => key), catalogue.collection.key];
  const sources = dashboards.flatMap(({ filters }) => filters.flatMap(({ source }) => source ?? []));
  return [
    ...findRepeated(keys).map((key) => `${key}: is defined twice`),
    ...findRepeated(keys.map(entityIdOf)).map((id) => `${id}: two keys give this id`),
    ...findRepeated(dashboards.map(({ name }) => name)).map((name) => `${name}: two dashboards have this name`),
    ...[...models, ...filterCards].flatMap((entry) => checkQuery(entry.key, readSql(entry), [])),
    ...dashboards.flatMap((dashboard) => [
      ...cardsOfDashboard(dashboard).flatMap((card) => checkQuery(card.key, readSql(card), dashboard.filters)),
      ...checkDashboard(dashboard),
    ]),
    ...sources
      .filter(({ card, column }) => !filterCards.includes(card) || !columnsOfChart(card).includes(column))
      .map(({ card, column }) => `${card.key}: offers no column ${column} to choose from`),
  ];
}
