// Everything that Metabase is given: models, dashboards, cards with their queries, and where each card stands.
import { readFileSync } from 'node:fs';
import { experimentOverview } from './dashboards/experiment-overview.ts';
import { latencyCost } from './dashboards/latency-cost.ts';
import { modelQuality } from './dashboards/model-quality.ts';
import { offlineOnline } from './dashboards/offline-online.ts';
import { variantPerformance } from './dashboards/variant-performance.ts';
import { filterCards } from './filters.ts';
import { models } from './models.ts';
import type { CardSpec, DashboardSpec, ModelSpec } from './spec.ts';

export type Catalogue = {
  readonly collection: { readonly key: string; readonly name: string; readonly description: string };
  readonly models: readonly ModelSpec[];
  /** The cards that list what filters offer. */
  readonly filterCards: readonly CardSpec[];
  readonly dashboards: readonly DashboardSpec[];
};

export const catalogue: Catalogue = {
  collection: {
    key: 'collection/experimentation',
    name: 'Experimentation',
    description:
      'Experiments, models, latency and cost. Provisioned from code: changes made here are undone by the next release.',
  },
  models,
  filterCards,
  dashboards: [experimentOverview, variantPerformance, offlineOnline, modelQuality, latencyCost],
};

export const cardsOfDashboard = (dashboard: DashboardSpec): CardSpec[] =>
  dashboard.rows.flatMap(({ cards }) => cards.map(({ card }) => card));

/** Every card but the models: those of the filters first, since dashboards refer to them. */
export const listCards = ({ filterCards: lists, dashboards }: Catalogue): CardSpec[] => [
  ...lists,
  ...dashboards.flatMap(cardsOfDashboard),
];

/** The query of a card or model as Metabase gets it. @throws when the file does not exist or a constant is missing. */
export function readSql({ sql, ...card }: CardSpec | ModelSpec): string {
  const constants = 'constants' in card ? (card.constants ?? {}) : {};
  const text = readFileSync(new URL(`sql/${sql}.sql`, import.meta.url), 'utf8').trim();
  return text.replaceAll(/\$([a-z_]+)/g, (_, name: string) => {
    const value = constants[name];
    if (value === undefined) throw new Error(`${card.key}: the query needs the constant ${name}`);
    return value;
  });
}

export type Place = { readonly row: number; readonly col: number; readonly sizeX: number; readonly sizeY: number };
export type PlacedCard = Place & { readonly card: CardSpec };

export const gridWidth = 24;
const introductionHeight = 2;

/** The introduction and the cards on Metabase's grid, from the top. */
export function layOut(dashboard: DashboardSpec): { introduction: Place; cards: PlacedCard[] } {
  let row = introductionHeight;
  const cards: PlacedCard[] = [];
  for (const { height, cards: inRow } of dashboard.rows) {
    let col = 0;
    for (const { width, card } of inRow) {
      cards.push({ card, row, col, sizeX: width, sizeY: height });
      col += width;
    }
    row += height;
  }
  return { introduction: { row: 0, col: 0, sizeX: gridWidth, sizeY: introductionHeight }, cards };
}
