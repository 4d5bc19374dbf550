// Dashboards in Metabase: found by name in our collection, since Metabase takes no fixed id for them; one request writes all of one.
import type { Catalogue } from '#analytics/metabase/catalogue.ts';
import type { CardSpec } from '#analytics/metabase/spec.ts';
import { FatalError } from '#platform/errors.ts';
import type { MetabaseClient } from '#platform/metabase/metabase-client.ts';
import { type DashboardBody, toDashboardBody } from './bodies.ts';
import { type Changes, plannedId, verifyStored } from './changes.ts';
import { byKey, findDifferences } from './same.ts';

export type CollectionItem = { readonly id: number; readonly model: string; readonly name: string };

type FoundDashcard = Readonly<Record<string, unknown>> & { readonly id: number; readonly card_id: number | null };
type FoundDashboard = Readonly<Record<string, unknown>> & {
  readonly id: number;
  readonly dashcards?: readonly FoundDashcard[];
  readonly tabs?: readonly unknown[];
};

/** Each card stands once on a dashboard, and one text, so the card is the key. */
const keyOf = ({ card_id }: { card_id: number | null }): string => (card_id === null ? 'text' : `card ${card_id}`);

const toComparable = (dashboard: DashboardBody | FoundDashboard) => ({
  name: dashboard.name,
  description: dashboard.description,
  collection: dashboard.collection_id,
  archived: ('archived' in dashboard ? dashboard.archived : false) ?? false,
  parameters: dashboard.parameters ?? [],
  tabs: 'tabs' in dashboard ? (dashboard.tabs?.length ?? 0) : 0,
  cardCount: dashboard.dashcards?.length ?? 0,
  cards: Object.fromEntries(
    (dashboard.dashcards ?? []).map((dashcard) => {
      const { row, col, size_x, size_y, parameter_mappings, visualization_settings } = dashcard;
      const mappings = byKey(parameter_mappings ?? [], 'parameter_id');
      return [
        keyOf(dashcard),
        {
          row,
          col,
          size_x,
          size_y,
          mappings,
          mapped: Object.keys(mappings).sort(),
          settings: visualization_settings ?? {},
        },
      ];
    }),
  ),
});

const differencesOf = (body: DashboardBody, found: FoundDashboard): string[] =>
  findDifferences(toComparable(body), toComparable(found));

/** Keeps the ids of cards that stay on the dashboard: links to them and subscriptions would break otherwise. */
function withIds(body: DashboardBody, found: FoundDashboard): object[] {
  const known = new Map((found.dashcards ?? []).map((dashcard) => [keyOf(dashcard), dashcard.id]));
  return body.dashcards.map((dashcard, index) => ({
    id: known.get(keyOf(dashcard)) ?? -(index + 1),
    ...dashcard,
    series: [],
  }));
}

async function writeDashboard(
  client: MetabaseClient,
  body: DashboardBody,
  found: FoundDashboard | null,
): Promise<number> {
  const { dashcards: _placed, ...rest } = body;
  // Creating takes neither cards nor an archived state, so a new dashboard is laid out by the update that follows.
  const current = found ?? (await client.post<FoundDashboard>('dashboard', rest));
  const stored = await client.put<FoundDashboard>(`dashboard/${current.id}`, {
    ...rest,
    archived: false,
    tabs: [],
    dashcards: withIds(body, current),
  });
  verifyStored(`the dashboard "${body.name}"`, client, differencesOf(body, stored));
  return current.id;
}

/** @param items What is in our collection. @returns The ids of the dashboards. @throws FatalError when a name is there twice. */
export async function provisionDashboards(
  client: MetabaseClient,
  catalogue: Catalogue,
  place: {
    readonly collection: number;
    readonly items: readonly CollectionItem[];
    readonly idOf: (card: CardSpec) => number;
  },
  changes: Changes,
): Promise<number[]> {
  const ids: number[] = [];
  for (const dashboard of catalogue.dashboards) {
    const body = toDashboardBody(dashboard, place.collection, place.idOf);
    const same = place.items.filter(({ model, name }) => model === 'dashboard' && name === dashboard.name);
    if (same.length > 1)
      throw new FatalError(
        `${client.url} has ${same.length} dashboards "${dashboard.name}" in the collection ${catalogue.collection.name} (${same.map(({ id }) => id).join(', ')}): move all but one of them to the trash`,
        { code: 'config-invalid' },
      );
    const found = same[0] === undefined ? null : await client.get<FoundDashboard>(`dashboard/${same[0].id}`);
    const differences = found === null ? [] : differencesOf(body, found);
    if (found !== null && differences.length === 0) {
      changes.keep();
      ids.push(found.id);
      continue;
    }
    const action = found === null ? 'create' : 'update';
    ids.push(
      await changes.make(
        { action, kind: 'dashboard', name: dashboard.name, differences },
        () => writeDashboard(client, body, found),
        found?.id ?? plannedId,
      ),
    );
  }
  return ids;
}
