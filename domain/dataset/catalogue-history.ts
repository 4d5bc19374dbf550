// The recipes as they were at any time, from the rows of the temporal table; each state is built once.

import { type Catalogue, createCatalogue } from '#domain/planning/catalogue.ts';
import { isValidAt, type RecipeRow } from '#domain/planning/temporal-rows.ts';

/** The catalogue at a time (ISO 8601 in UTC, with Z). Between two changes every time gives the same catalogue. */
export function createCatalogueHistory(rows: readonly RecipeRow[]): (time: string) => Catalogue {
  const ends = rows.flatMap((row) => (row.valid_to === null ? [] : [row.valid_to]));
  const changes = [...new Set([...rows.map((row) => row.valid_from), ...ends])].map((time) => Date.parse(time));
  changes.sort((a, b) => a - b);
  const built = new Map<number, Catalogue>();
  return (time) => {
    const at = Date.parse(time);
    const state = changes.findLastIndex((change) => change <= at);
    let catalogue = built.get(state);
    if (catalogue === undefined) {
      // ISO text of one precision, as the comparison of text needs it.
      const instant = new Date(at).toISOString();
      catalogue = createCatalogue(rows.filter((row) => isValidAt(row, instant)).map((row) => row.details));
      built.set(state, catalogue);
    }
    return catalogue;
  };
}
