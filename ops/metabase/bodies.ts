// Bodies of requests to Metabase from the definitions, given the ids that this Metabase has for database, collection and cards.
import { type Catalogue, layOut, readSql } from '#analytics/metabase/catalogue.ts';
import {
  type CardContent,
  tagsOf,
  toCardContent,
  toDashboardParameters,
  toParameterMappings,
  toQuery,
  toTextSettings,
} from '#analytics/metabase/metabase-form.ts';
import type { CardSpec, DashboardSpec, ModelSpec } from '#analytics/metabase/spec.ts';

export type Place = { readonly database: number; readonly collection: number };

export type CardBody = CardContent & { readonly collection_id: number; readonly dataset_query: object };

export function toCardBody(card: CardSpec | ModelSpec, { dashboards }: Catalogue, place: Place): CardBody {
  const tags = Object.fromEntries(tagsOf(card, dashboards).map((tag) => [tag.name, tag]));
  return {
    ...toCardContent(card, dashboards),
    collection_id: place.collection,
    dataset_query: toQuery(place.database, readSql(card), tags),
  };
}

export type DashcardBody = {
  readonly card_id: number | null;
  readonly row: number;
  readonly col: number;
  readonly size_x: number;
  readonly size_y: number;
  readonly parameter_mappings: readonly object[];
  readonly visualization_settings: object;
};

export type DashboardBody = {
  readonly name: string;
  readonly description: string;
  readonly collection_id: number;
  readonly parameters: readonly object[];
  readonly dashcards: readonly DashcardBody[];
};

export function toDashboardBody(
  dashboard: DashboardSpec,
  collection: number,
  idOf: (card: CardSpec) => number,
): DashboardBody {
  const { introduction, cards } = layOut(dashboard);
  const placeOf = ({ row, col, sizeX, sizeY }: typeof introduction) => ({ row, col, size_x: sizeX, size_y: sizeY });
  return {
    name: dashboard.name,
    description: dashboard.description,
    collection_id: collection,
    parameters: toDashboardParameters(dashboard, idOf),
    dashcards: [
      {
        card_id: null,
        ...placeOf(introduction),
        parameter_mappings: [],
        visualization_settings: toTextSettings(dashboard.introduction),
      },
      ...cards.map((placed) => ({
        card_id: idOf(placed.card),
        ...placeOf(placed),
        parameter_mappings: toParameterMappings(dashboard, placed.card, idOf),
        visualization_settings: {},
      })),
    ],
  };
}
