// What the contract server remembers and does for each route: like Metabase 0.63, with the quirks that matter to a client.
import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { createCardRunner } from './contract-cards.ts';
import { Refusal } from './refusal.ts';

export type Entity = Record<string, unknown> & { id: number };
type Body = Readonly<Record<string, unknown>>;
type Call = {
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Body;
};

export type MetabaseState = {
  readonly cards: Entity[];
  readonly dashboards: Entity[];
  readonly collections: Entity[];
  readonly databases: Entity[];
  /** The id of a user for a key or session, or null. */
  findCaller(headers: IncomingHttpHeaders): number | null;
  readonly routes: Readonly<Record<string, (call: Call) => unknown>>;
  close(): Promise<void>;
};

const entityId = (): string => randomBytes(16).toString('base64url').slice(0, 21);

/** Numbers and entity ids both name an entity. */
function getEntity(list: readonly Entity[], id: string): Entity {
  const found = list.find((one) => String(one.id) === id || one.entity_id === id);
  if (found === undefined) throw new Refusal(404, 'Not found.');
  return found;
}

/** As it is stored and given back since 0.63: variables are a list, and each stage has an id of its own. */
function toStoredQuery(query: Body): Body {
  if (Object.keys(query).length === 0) throw new Refusal(500, 'NULL not allowed for column "DATASET_QUERY"');
  const stages = (query.stages as Body[] | undefined)?.map((stage) => ({
    ...stage,
    'lib/uuid': randomUUID(),
    ...(stage['template-tags'] === undefined ? {} : { 'template-tags': Object.values(stage['template-tags'] as Body) }),
  }));
  return { ...query, ...(stages === undefined ? {} : { stages }) };
}

const times = () => ({ created_at: new Date().toISOString(), updated_at: new Date().toISOString() });

export function createMetabaseState(): MetabaseState {
  const users: Entity[] = [];
  const keys: { key: string; name: string; id: number; userId: number }[] = [];
  const sessions = new Map<string, number>();
  const databases: Entity[] = [];
  const collections: Entity[] = [];
  const cards: Entity[] = [];
  const dashboards: Entity[] = [];
  const setupToken = randomUUID();
  let lastId = 100;
  const nextId = (): number => (lastId += 1);
  const runner = createCardRunner();
  const openSession = (userId: number): { id: string } => {
    const id = randomUUID();
    sessions.set(id, userId);
    return { id };
  };
  const requireCollection = (id: unknown): number | null => {
    if (id === null || id === undefined) return null;
    return getEntity(collections, String(id)).id;
  };
  /** Secrets never leave. */
  const showDatabase = (database: Entity): Entity => ({
    ...database,
    details: { ...(database.details as Body), password: '**MetabasePass**' },
  });
  const showDashboard = (dashboard: Entity): Entity => ({
    ...dashboard,
    // No promise of order.
    dashcards: [...(dashboard.dashcards as Entity[])].reverse().map((dashcard) => ({
      ...dashcard,
      card: dashcard.card_id === null ? null : getEntity(cards, String(dashcard.card_id)),
    })),
  });
  const itemsOf = (collection: number | null, archived: boolean): Entity[] => {
    const all: Entity[] = [
      ...dashboards.map((one) => ({ ...one, model: 'dashboard' })),
      ...cards.map((one) => ({ ...one, model: one.type === 'model' ? 'dataset' : 'card' })),
    ];
    return all.filter((one) => one.collection_id === collection && one.archived === archived);
  };
  const itemFields = ['id', 'model', 'name', 'entity_id', 'collection_id', 'archived', 'description', 'display'];

  const setCard = async (card: Entity, body: Body): Promise<Entity> => {
    const changed = { ...card, ...body };
    const query = body.dataset_query === undefined ? card.dataset_query : toStoredQuery(body.dataset_query as Body);
    const database = getEntity(databases, String((query as { database: number }).database));
    Object.assign(card, changed, {
      id: card.id,
      dataset_query: query,
      collection_id: requireCollection(changed.collection_id),
      database_id: database.id,
      query_type: 'native',
      table_id: null,
      creator_id: users[0]!.id,
      updated_at: new Date().toISOString(),
      // A model keeps what people said of its columns; Metabase adds what it finds itself.
      result_metadata: ((changed.result_metadata ?? []) as Body[]).map((column) => ({
        ...column,
        // Found by running the query, whatever was said.
        base_type: 'type/*',
        effective_type: column.base_type,
        field_ref: ['field', column.name, { 'base-type': column.base_type }],
        fingerprint: null,
        visibility_type: 'normal',
      })),
    });
    return card;
  };
  const runCard = (card: Entity, values: unknown): Promise<object> =>
    runner.run(getEntity(databases, String(card.database_id)), card, values as readonly Body[] | undefined);

  const routes: Record<string, (call: Call) => unknown> = {
    'GET /api/health': () => ({ status: 'ok' }),
    'GET /api/session/properties': () => ({
      'setup-token': users.length === 0 ? setupToken : null,
      'has-user-setup': users.length > 0,
      version: { tag: 'v0.63.1' },
      'token-features': {},
    }),
    'POST /api/setup': ({ body }) => {
      if (users.length > 0) throw new Refusal(403, 'The /api/setup route can only be used to create the first user.');
      if (body.token !== setupToken)
        throw new Refusal(400, { errors: { token: 'Token does not match the setup token.' } });
      const user = body.user as { email: string; password: string };
      users.push({ id: nextId(), email: user.email, password: user.password, is_superuser: true });
      return openSession(users[0]!.id);
    },
    'POST /api/session': ({ body }) => {
      const user = users.find(({ email, password }) => email === body.username && password === body.password);
      if (user === undefined) throw new Refusal(401, { errors: { password: 'did not match stored password' } });
      return openSession(user.id);
    },
    'GET /api/user/current': () => ({ ...users[0]!, password: undefined, common_name: 'Administrator' }),
    'GET /api/api-key': () => keys.map(({ id, name }) => ({ id, name, masked_key: 'mb_****' })),
    'POST /api/api-key': ({ body }) => {
      const key = `mb_${randomBytes(24).toString('base64url')}`;
      keys.push({ key, name: String(body.name), id: nextId(), userId: users[0]!.id });
      return { id: keys.at(-1)!.id, name: body.name, unmasked_key: key };
    },
    'GET /api/database': () => ({ data: databases.map(showDatabase), total: databases.length }),
    'POST /api/database': async ({ body }) => {
      await runner.checkConnection(body.details as Body);
      const database = { ...body, id: nextId(), initial_sync_status: 'complete', ...times() } as Entity;
      databases.push(database);
      return showDatabase(database);
    },
    'GET /api/database/{id}': ({ parameters }) => showDatabase(getEntity(databases, parameters.id!)),
    'PUT /api/database/{id}': async ({ parameters, body }) => {
      const database = getEntity(databases, parameters.id!);
      await runner.checkConnection(body.details as Body);
      return showDatabase(Object.assign(database, body));
    },
    'GET /api/collection': () => [
      { id: 'root', name: 'Our analytics', location: null },
      { id: 1, name: "Administrator's Personal Collection", location: '/', personal_owner_id: users[0]?.id ?? null },
      ...collections.filter(({ archived }) => archived === false),
    ],
    'POST /api/collection': ({ body }) => {
      const collection = {
        archived: false,
        location: '/',
        entity_id: entityId(),
        slug: 'slug',
        ...body,
        id: nextId(),
      } as Entity;
      collections.push(collection);
      return collection;
    },
    'GET /api/collection/{id}': ({ parameters }) => getEntity(collections, parameters.id!),
    'PUT /api/collection/{id}': ({ parameters, body }) => Object.assign(getEntity(collections, parameters.id!), body),
    'GET /api/collection/{id}/items': ({ parameters, query }) => {
      const collection = parameters.id === 'root' ? null : getEntity(collections, parameters.id!).id;
      const models = query.getAll('models');
      const all = itemsOf(collection, query.get('archived') === 'true').filter(
        ({ model }) => models.length === 0 || models.includes(String(model)),
      );
      const [offset, limit] = [Number(query.get('offset') ?? 0), Number(query.get('limit') ?? all.length)];
      const data = all
        .slice(offset, offset + limit)
        .map((one) => Object.fromEntries(itemFields.map((field) => [field, one[field] ?? null])));
      return { data, total: all.length, models, limit, offset };
    },
    'GET /api/card': () => cards.filter(({ archived }) => archived === false),
    'POST /api/card': async ({ body }) => {
      if (body.entity_id !== undefined && cards.some(({ entity_id }) => entity_id === body.entity_id))
        throw new Refusal(400, { errors: { entity_id: 'is taken' } });
      const fresh = {
        id: nextId(),
        entity_id: entityId(),
        type: 'question',
        archived: false,
        parameters: [],
        ...times(),
      };
      const card = await setCard(fresh as unknown as Entity, body);
      cards.push(card);
      return card;
    },
    'GET /api/card/{id}': ({ parameters }) => getEntity(cards, parameters.id!),
    'PUT /api/card/{id}': ({ parameters, body }) => setCard(getEntity(cards, parameters.id!), body),
    'POST /api/card/{card-id}/query': ({ parameters, body }) =>
      runCard(getEntity(cards, parameters['card-id']!), body.parameters),
    'POST /api/dashboard': ({ body }) => {
      const { name, description = null, parameters = [], collection_id } = body;
      const dashboard = {
        id: nextId(),
        entity_id: entityId(),
        name,
        description,
        parameters,
        collection_id: requireCollection(collection_id),
        archived: false,
        dashcards: [],
        tabs: [],
        creator_id: users[0]!.id,
        width: 'fixed',
        auto_apply_filters: true,
        enable_embedding: false,
        public_uuid: null,
        cache_ttl: null,
        ...times(),
      } as Entity;
      dashboards.push(dashboard);
      return showDashboard(dashboard);
    },
    'GET /api/dashboard/{id}': ({ parameters }) => showDashboard(getEntity(dashboards, parameters.id!)),
    'PUT /api/dashboard/{id}': ({ parameters, body }) => {
      const dashboard = getEntity(dashboards, parameters.id!);
      const { dashcards, collection_id, ...rest } = body;
      Object.assign(
        dashboard,
        rest,
        collection_id === undefined ? {} : { collection_id: requireCollection(collection_id) },
      );
      if (dashcards === undefined) return showDashboard(dashboard);
      const known = (dashboard.dashcards as Entity[]).map(({ id }) => id);
      dashboard.dashcards = (dashcards as Entity[]).map((dashcard) => {
        if (dashcard.id >= 0 && !known.includes(dashcard.id))
          throw new Refusal(404, `dashcard ${dashcard.id} is not here`);
        if (dashcard.card_id !== null) getEntity(cards, String(dashcard.card_id));
        return {
          series: [],
          dashboard_tab_id: null,
          inline_parameters: null,
          ...dashcard,
          id: dashcard.id < 0 ? nextId() : dashcard.id,
          dashboard_id: dashboard.id,
          entity_id: entityId(),
        };
      });
      return showDashboard(dashboard);
    },
    'POST /api/dashboard/{dashboard-id}/dashcard/{dashcard-id}/card/{card-id}/query': ({ parameters, body }) => {
      const dashboard = getEntity(dashboards, parameters['dashboard-id']!);
      const dashcard = getEntity(dashboard.dashcards as Entity[], parameters['dashcard-id']!);
      const card = getEntity(cards, parameters['card-id']!);
      if (dashcard.card_id !== card.id) throw new Refusal(404, 'Not found.');
      // Values come by the id of the dashboard's filter; the mapping says which variable of the card that is.
      const mappings = dashcard.parameter_mappings as { parameter_id: string; target: unknown }[];
      const defaults = (dashboard.parameters as Body[]).map(({ id, default: value }) => ({ id, value }));
      const given = (body.parameters ?? []) as { id: string; value: unknown }[];
      const values = [...defaults.filter(({ id }) => !given.some((one) => one.id === id)), ...given].flatMap(
        ({ id, value }) =>
          mappings.filter(({ parameter_id }) => parameter_id === id).map(({ target }) => ({ target, value })),
      );
      return runCard(card, values);
    },
  };

  return {
    cards,
    dashboards,
    collections,
    databases,
    routes,
    findCaller: (headers) => {
      const key = keys.find((one) => one.key === headers['x-api-key']);
      return key?.userId ?? sessions.get(String(headers['x-metabase-session'] ?? '')) ?? null;
    },
    close: () => runner.close(),
  };
}
