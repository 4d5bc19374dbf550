// Models and cards in Metabase: found by their fixed entity id, written only where they differ.
import { type Catalogue, listCards } from '#analytics/metabase/catalogue.ts';
import type { CardSpec, ModelSpec } from '#analytics/metabase/spec.ts';
import type { MetabaseClient } from '#platform/metabase/metabase-client.ts';
import { type CardBody, type Place, toCardBody } from './bodies.ts';
import { type Changes, plannedId, verifyStored } from './changes.ts';
import { byKey, describeQuery, findDifferences } from './same.ts';

type FoundCard = Readonly<Record<string, unknown>> & { readonly id: number };

/** A card in comparable form. Of a model's columns the words are ours; types are what Metabase finds when it runs the query. */
function toComparable(card: Readonly<Record<string, unknown>>): object {
  const query = describeQuery(card.dataset_query);
  const parameters = byKey(card.parameters ?? [], 'id');
  return {
    name: card.name,
    description: card.description,
    type: card.type,
    display: card.display,
    collection: card.collection_id,
    archived: card.archived ?? false,
    query,
    variables: query === null ? [] : Object.keys(query.tags).sort(),
    settings: card.visualization_settings,
    parameters,
    parameterIds: Object.keys(parameters).sort(),
    columns: toWords(card.result_metadata),
  };
}

const toWords = (metadata: unknown): object =>
  Object.fromEntries(
    Object.values(byKey(metadata ?? [], 'name')).map((column) => {
      const { name, display_name, description } = column as Readonly<Record<string, unknown>>;
      return [String(name), { display_name, description }];
    }),
  );

const differencesOf = (body: CardBody, found: Readonly<Record<string, unknown>>): string[] =>
  findDifferences(toComparable(body), toComparable(found), { exact: ['settings'] });

/** @returns The id of each card in this Metabase. */
export async function provisionCards(
  client: MetabaseClient,
  catalogue: Catalogue,
  place: Place,
  changes: Changes,
): Promise<ReadonlyMap<CardSpec | ModelSpec, number>> {
  const ids = new Map<CardSpec | ModelSpec, number>();
  for (const card of [...catalogue.models, ...listCards(catalogue)]) {
    const body = toCardBody(card, catalogue, place);
    const kind = body.type === 'model' ? 'model' : 'card';
    const found = await client.find<FoundCard>(`card/${body.entity_id}`);
    const differences = found === null ? [] : differencesOf(body, found);
    if (found !== null && differences.length === 0) {
      changes.keep();
      ids.set(card, found.id);
      continue;
    }
    const action = found === null ? 'create' : 'update';
    // The entity id was given when the card was made.
    const { entity_id: _fixed, ...changeable } = body;
    const id = await changes.make(
      { action, kind, name: card.name, differences },
      async () => {
        const stored =
          found === null
            ? await client.post<FoundCard>('card', body)
            : await client.put<FoundCard>(`card/${found.id}`, { ...changeable, archived: false });
        verifyStored(`the ${kind} "${card.name}"`, client, differencesOf(body, stored));
        return stored.id;
      },
      found?.id ?? plannedId,
    );
    ids.set(card, id);
  }
  return ids;
}
