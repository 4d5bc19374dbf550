// Brings one Metabase to the definitions: user, database, collection, models, cards, dashboards, in this order; safe to repeat.
import type { Catalogue } from '#analytics/metabase/catalogue.ts';
import { findProblems } from '#analytics/metabase/lint.ts';
import { FatalError } from '#platform/errors.ts';
import type { MetabaseClient } from '#platform/metabase/metabase-client.ts';
import { type Change, type Changes, createChanges, plannedId } from './changes.ts';
import type { MetabaseConfig } from './metabase-config.ts';
import { provisionCards } from './provision-cards.ts';
import { type CollectionItem, provisionDashboards } from './provision-dashboards.ts';
import { findDifferences } from './same.ts';
import { openMetabase } from './session.ts';

export const databaseName = 'Trialstream';

type FoundDatabase = { readonly id: number; readonly name: string; readonly engine: string; readonly details?: object };
type FoundCollection = {
  readonly id: number | string;
  readonly name: string;
  readonly description?: string | null;
  readonly location?: string | null;
  readonly archived?: boolean;
  readonly personal_owner_id?: number | null;
};

/** How Metabase connects: as a role that reads one schema and writes nothing. Exported for tests. */
export function toDatabaseBody(databaseUrl: string): { name: string; engine: 'postgres'; details: object } {
  const { hostname, port, pathname, username, password, searchParams } = new URL(databaseUrl);
  const sslMode = searchParams.get('sslmode');
  return {
    name: databaseName,
    engine: 'postgres',
    details: {
      host: hostname,
      port: port === '' ? 5432 : Number(port),
      dbname: decodeURIComponent(pathname.slice(1)),
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
      ssl: sslMode !== null && sslMode !== 'disable',
      ...(sslMode === null ? {} : { 'ssl-mode': sslMode }),
      'schema-filters-type': 'inclusion',
      'schema-filters-patterns': 'exp',
    },
  };
}

async function provisionDatabase(client: MetabaseClient, databaseUrl: string, changes: Changes): Promise<number> {
  const body = toDatabaseBody(databaseUrl);
  const { data } = await client.get<{ data: FoundDatabase[] }>('database');
  const listed = data.find(({ name }) => name === databaseName);
  if (listed === undefined)
    return changes.make(
      { action: 'create', kind: 'database', name: databaseName, differences: [] },
      async () => (await client.post<FoundDatabase>('database', body)).id,
      plannedId,
    );
  const found = await client.get<FoundDatabase>(`database/${listed.id}`);
  // Metabase never gives a password back; the other keys say where and as whom it connects.
  const { host, port, dbname, user } = body.details as Readonly<Record<string, unknown>>;
  const wanted = { engine: body.engine, details: { host, port, dbname, user } };
  const differences = findDifferences(wanted, found);
  if (differences.length === 0) {
    changes.keep();
    return found.id;
  }
  return changes.make(
    { action: 'update', kind: 'database', name: databaseName, differences },
    async () => (await client.put<FoundDatabase>(`database/${found.id}`, body)).id,
    found.id,
  );
}

async function provisionCollection(
  client: MetabaseClient,
  { collection: { name, description } }: Catalogue,
  changes: Changes,
): Promise<number> {
  const all = await client.get<FoundCollection[]>('collection');
  const found = all.find(
    (one) =>
      one.name === name &&
      (one.location ?? '/') === '/' &&
      one.archived !== true &&
      (one.personal_owner_id ?? null) === null,
  );
  if (found === undefined)
    return changes.make(
      { action: 'create', kind: 'collection', name, differences: [] },
      async () => (await client.post<{ id: number }>('collection', { name, description })).id,
      plannedId,
    );
  if (found.description === description) changes.keep();
  else
    await changes.make(
      { action: 'update', kind: 'collection', name, differences: ['description'] },
      async () => void (await client.put(`collection/${found.id}`, { description })),
      undefined,
    );
  return Number(found.id);
}

const listItems = async (client: MetabaseClient, collection: number): Promise<readonly CollectionItem[]> => {
  if (collection === plannedId) return [];
  const models = ['dashboard', 'card', 'dataset', 'metric'].map((model) => `models=${model}`).join('&');
  const { data } = await client.get<{ data: CollectionItem[] }>(`collection/${collection}/items?${models}`);
  return data;
};

export type Provisioned = {
  readonly changes: readonly Change[];
  readonly unchangedCount: number;
  /** What lies in our collection and is not in the definitions. */
  readonly others: readonly CollectionItem[];
};

export type ProvisionOptions = {
  readonly isDryRun: boolean;
  /** Moves what is in our collection and not in the definitions to Metabase's trash. */
  readonly archiveOthers: boolean;
  readonly onChange: (change: Change) => void;
};

/** Everything of a Metabase that is empty, as changes: there is nothing to compare with. */
function planAll(catalogue: Catalogue, email: string, changes: Changes): Promise<void> {
  const note = (kind: Change['kind'], name: string): Promise<void> =>
    changes.make({ action: 'create', kind, name, differences: [] }, async () => {}, undefined);
  const { models, filterCards, dashboards, collection } = catalogue;
  const planned: [Change['kind'], string][] = [
    ['user', email],
    ['database', databaseName],
    ['collection', collection.name],
    ...models.map(({ name }): [Change['kind'], string] => ['model', name]),
    ...filterCards.map(({ name }): [Change['kind'], string] => ['card', name]),
    ...dashboards.flatMap(({ rows }) =>
      rows.flatMap(({ cards }) => cards.map(({ card }): [Change['kind'], string] => ['card', card.name])),
    ),
    ...dashboards.map(({ name }): [Change['kind'], string] => ['dashboard', name]),
  ];
  return planned.reduce((before, [kind, name]) => before.then(() => note(kind, name)), Promise.resolve());
}

/** @throws FatalError with Metabase's own words when it refuses or stores something else than it was sent. */
export async function provision(
  config: MetabaseConfig,
  catalogue: Catalogue,
  { isDryRun, archiveOthers, onChange }: ProvisionOptions,
): Promise<Provisioned> {
  const problems = findProblems(catalogue);
  if (problems.length > 0)
    throw new FatalError(`the definitions of the dashboards are wrong:\n  ${problems.join('\n  ')}`, {
      code: 'config-invalid',
    });
  const changes = createChanges({ isDryRun }, onChange);
  const { client, isNew } = await openMetabase(config, { isDryRun });
  if (client === null) {
    await planAll(catalogue, config.adminEmail!, changes);
    return { changes: changes.made, unchangedCount: 0, others: [] };
  }
  if (isNew)
    await changes.make(
      { action: 'create', kind: 'user', name: config.adminEmail!, differences: [] },
      async () => {},
      undefined,
    );
  const database = await provisionDatabase(client, config.databaseUrl, changes);
  const collection = await provisionCollection(client, catalogue, changes);
  const ids = await provisionCards(client, catalogue, { database, collection }, changes);
  const items = await listItems(client, collection);
  const dashboardIds = await provisionDashboards(
    client,
    catalogue,
    { collection, items, idOf: (card) => ids.get(card)! },
    changes,
  );
  const cardIds = [...ids.values()];
  const others = items.filter(({ id, model }) => !(model === 'dashboard' ? dashboardIds : cardIds).includes(id));
  if (archiveOthers)
    for (const { id, model, name } of others) {
      const kind = model === 'dashboard' ? 'dashboard' : 'card';
      await changes.make(
        { action: 'archive', kind, name, differences: [] },
        () => client.put(`${kind}/${id}`, { archived: true }),
        undefined,
      );
    }
  return { changes: changes.made, unchangedCount: changes.unchangedCount, others: archiveOthers ? [] : others };
}
