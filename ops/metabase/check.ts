// Runs every card of our dashboards in a Metabase, as people who open them would, and says which fail and which show nothing.
import { type Catalogue, cardsOfDashboard } from '#analytics/metabase/catalogue.ts';
import { tagIdOf } from '#analytics/metabase/fixed-ids.ts';
import { FatalError } from '#platform/errors.ts';
import type { MetabaseClient } from '#platform/metabase/metabase-client.ts';

export type CheckedCard = {
  readonly dashboard: string;
  readonly card: string;
  /** Rows without filters; null when the query failed. */
  readonly rows: number | null;
  /** Metabase's words about the failure. */
  readonly error: string | null;
};

type Dashcard = {
  readonly id: number;
  readonly card_id: number | null;
  readonly card?: { readonly name?: string } | null;
};
type Found = { readonly id: number; readonly name: string };
type Answer = { readonly status: string; readonly row_count?: number; readonly error?: string | null };

const missing = (what: string): FatalError =>
  new FatalError(`Metabase has no ${what}: run "ops metabase apply" first`, { code: 'config-invalid' });

/** @throws FatalError when the collection, a dashboard or a card is not there. */
export async function checkCards(
  client: MetabaseClient,
  { collection, dashboards }: Catalogue,
): Promise<CheckedCard[]> {
  const collections = await client.get<Found[]>('collection');
  const ours = collections.find(({ name }) => name === collection.name);
  if (ours === undefined) throw missing(`collection ${collection.name}`);
  const { data } = await client.get<{ data: Found[] }>(`collection/${ours.id}/items?models=dashboard`);
  const checked: CheckedCard[] = [];
  for (const dashboard of dashboards) {
    const listed = data.find(({ name }) => name === dashboard.name);
    if (listed === undefined) throw missing(`dashboard ${dashboard.name}`);
    const { dashcards } = await client.get<{ dashcards: Dashcard[] }>(`dashboard/${listed.id}`);
    const withCard = dashcards.filter(({ card_id }) => card_id !== null);
    if (withCard.length < cardsOfDashboard(dashboard).length) throw missing(`card for each place of ${dashboard.name}`);
    // A date that excludes nothing: the types of the filters are tried too.
    const since = { id: tagIdOf(dashboard.key, 'from'), type: 'date/single', value: '2000-01-01' };
    for (const { id, card_id, card } of withCard) {
      const path = `dashboard/${listed.id}/dashcard/${id}/card/${card_id}/query`;
      const answers = [
        await client.post<Answer>(path, { parameters: [] }),
        await client.post<Answer>(path, { parameters: [since] }),
      ];
      const failed = answers.find(({ status }) => status !== 'completed');
      checked.push({
        dashboard: dashboard.name,
        card: card?.name ?? String(card_id),
        rows: failed === undefined ? (answers[0]!.row_count ?? 0) : null,
        error: failed === undefined ? null : (failed.error ?? `status ${failed.status}`),
      });
    }
  }
  return checked;
}
