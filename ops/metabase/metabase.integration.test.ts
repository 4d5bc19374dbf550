// `ops metabase apply` against a server that holds it to Metabase's contract and runs the cards on Postgres; read back by Metabase's
// own command line, `mb`.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cardsOfDashboard, catalogue, listCards } from '#analytics/metabase/catalogue.ts';
import { entityIdOf } from '#analytics/metabase/fixed-ids.ts';
import type { DashboardSpec } from '#analytics/metabase/spec.ts';
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { parseSettings } from '#platform/config/settings.ts';
import { createMetabaseClient } from '#platform/metabase/metabase-client.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import {
  type ContractServer,
  type ContractServerOptions,
  startContractServer,
} from '#tests/support/metabase/contract-server.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { createProgram } from '../program.ts';
import type { MetabaseConfig } from './metabase-config.ts';
import { provision } from './provision.ts';

const root = join(import.meta.dirname, '..', '..');
const email = 'admin@example.org';
const password = 'a-password-of-20-signs';
const total = 3 + catalogue.models.length + listCards(catalogue).length + catalogue.dashboards.length;
let database: TestDatabase;
let server: ContractServer;

beforeAll(async () => {
  database = await createTestDatabase();
  const variants = ['control', 'treatment'].map((name, index) => ({ name, allocation: 0.5, is_control: index === 0 }));
  await inTransaction(database.pool, (tx) =>
    applyDefinition(
      tx,
      { key: 'checkout', name: 'Checkout', unit_type: 'user', variants },
      { actor: 'test', reason: 'a test' },
    ),
  );
});
afterAll(() => database?.drop());
beforeEach(async () => {
  server = await startContractServer();
});
afterEach(() => server.stop());

async function restart(options: ContractServerOptions): Promise<void> {
  await server.stop();
  server = await startContractServer(options);
}

const configOf = (changed: Partial<MetabaseConfig> = {}): MetabaseConfig => ({
  url: server.url,
  apiKey: undefined,
  adminEmail: email,
  adminPassword: password,
  databaseUrl: database.urlAs('analyst'),
  waitMs: 20_000,
  ...changed,
});
const apply = (options: { isDryRun?: boolean; archiveOthers?: boolean; catalogue?: typeof catalogue } = {}) =>
  provision(configOf(), options.catalogue ?? catalogue, {
    isDryRun: options.isDryRun ?? false,
    archiveOthers: options.archiveOthers ?? false,
    onChange: () => {},
  });
const login = async () => {
  const { id } = await createMetabaseClient(server.url, null).post<{ id: string }>('session', {
    username: email,
    password,
  });
  return createMetabaseClient(server.url, { kind: 'session', session: id });
};
const settings = () => ({
  METABASE_URL: server.url,
  METABASE_ADMIN_EMAIL: email,
  METABASE_ADMIN_PASSWORD: password,
  METABASE_DATABASE_URL: database.urlAs('analyst'),
});

/** The command as a person types it, in this process. @returns What it prints. */
async function run(...words: string[]): Promise<string> {
  const lines: string[] = [];
  const line: CommandLine = {
    settingsOf: (schema) => {
      const parsed = parseSettings(schema, settings());
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
      return parsed.settings;
    },
    environment: {},
    print: (text) => void lines.push(text),
    note: () => {},
    reportProblems: () => {},
    confirm: async () => {},
    actor: 'tester',
  };
  await createProgram(line, new Command('ops').exitOverride()).parseAsync(['metabase', ...words], {
    from: 'user',
  });
  return lines.join('\n');
}

describe('a new Metabase', () => {
  test('gets everything from the command, which waits for it; a second run writes nothing', async () => {
    await restart({ startingAnswers: 2 });
    const planned = await run('apply', '--dry-run');
    expect(planned).toContain('would create dashboard Latency & Cost Analyses\n');
    expect(planned).toContain(`${total} to be changed, 0 as they should be`);
    expect(server.writes()).toEqual([]);

    const first = await run('apply');
    expect(first).toContain('create database Trialstream\ncreate collection Experimentation\ncreate model Events\n');
    expect(first).toContain(`${total} changed, 0 as they should be, at ${server.url}`);
    expect(server.seen.filter(({ method, status }) => method !== 'GET' && status >= 300)).toEqual([]);

    server.forget();
    const second = JSON.parse(await run('apply', '--json'));
    // The user is made once and not looked at again.
    expect(second).toEqual({ dry_run: false, changes: [], unchanged: total - 1, others: [] });
    expect(server.writes()).toEqual([]);
    expect(server.seen.length).toBeGreaterThan(total - 10);
  });

  test('connects as the role that reads exp and writes nothing, and shows the password to nobody', async () => {
    await apply();
    const { data } = await (await login()).get<{ data: Record<string, unknown>[] }>('database');
    expect(data).toMatchObject([
      { name: 'Trialstream', engine: 'postgres', details: { user: 'analyst', password: '**MetabasePass**' } },
    ]);
  });

  test('runs every card of every dashboard, and names the one that fails', async () => {
    await expect(run('check')).rejects.toThrow('is empty: run "ops metabase apply" first');
    await apply();
    const count = catalogue.dashboards.flatMap(cardsOfDashboard).length;
    expect(await run('check')).toContain(`${count} cards, 0 failed`);
    const card = server.state.cards.find(({ entity_id }) => entity_id === entityIdOf('latency-cost/plans'))!;
    (card.dataset_query as { stages: { native: string }[] }).stages[0]!.native = 'SELECT gone FROM exp.experiments';
    const checked = await run('check');
    expect(checked).toMatch(/Plans +- +column "gone" does not exist/);
    expect(checked).toContain(`${count} cards, 1 failed`);
  });
});

describe('a Metabase that differs', () => {
  beforeEach(async () => {
    await apply();
    server.forget();
  });

  test('gets exactly one write for a card with another query, name or place, and keeps what points to it', async () => {
    const card = server.state.cards.find(({ entity_id }) => entity_id === entityIdOf('latency-cost/plans'))!;
    const wanted = structuredClone(card);
    card.display = 'table';
    (card.dataset_query as { stages: { native: string }[] }).stages[0]!.native = 'SELECT 1';
    const { changes } = await apply({ isDryRun: true });
    expect(changes).toEqual([
      { action: 'update', kind: 'card', name: 'Plans', differences: ['display', 'query.native'] },
    ]);
    expect(server.writes()).toEqual([]);
    await apply();
    expect(server.writes()).toEqual([{ method: 'PUT', path: `/api/card/${card.id}`, status: 200 }]);
    expect(card).toMatchObject({ id: wanted.id, display: wanted.display });
  });

  test('gets one write for a dashboard whose cards were moved, with the same ids', async () => {
    const dashboard = server.state.dashboards[0]!;
    const idsBefore = (dashboard.dashcards as { id: number }[]).map(({ id }) => id).sort();
    (dashboard.dashcards as { row: number }[])[3]!.row = 40;
    (dashboard.dashcards as { parameter_mappings: unknown[] }[])[2]!.parameter_mappings.pop();
    const { changes } = await apply();
    expect(changes).toMatchObject([{ action: 'update', kind: 'dashboard', name: dashboard.name }]);
    expect(changes[0]!.differences).toHaveLength(3);
    expect(server.writes()).toHaveLength(1);
    expect((dashboard.dashcards as { id: number }[]).map(({ id }) => id).sort()).toEqual(idsBefore);
    expect((await apply()).changes).toEqual([]);
  });

  test('follows a definition that changed: a new card is made and placed, the database of another host is written', async () => {
    const [first, ...others] = catalogue.dashboards as [DashboardSpec, ...DashboardSpec[]];
    const card = { ...first.rows[0]!.cards[0]!.card, key: 'experiment-overview/new', name: 'New' };
    const changed = { ...first, rows: [...first.rows, { height: 3, cards: [{ width: 24, card }] }] };
    server.state.databases[0]!.details = { ...(server.state.databases[0]!.details as object), host: 'old-host' };
    const { changes } = await apply({ catalogue: { ...catalogue, dashboards: [changed, ...others] } });
    expect(changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`)).toEqual([
      'update database Trialstream',
      'create card New',
      'update dashboard Experiment Overview',
    ]);
  });

  test('keeps what somebody else made, and moves it to the trash only when told to', async () => {
    const client = await login();
    const [collection] = server.state.collections;
    const mine = {
      name: 'Mine',
      display: 'table',
      visualization_settings: {},
      dataset_query: server.state.cards[0]!.dataset_query,
    };
    const inside = await client.post<{ id: number }>('card', { ...mine, collection_id: collection!.id });
    const outside = await client.post<{ id: number }>('card', mine);
    expect((await apply()).others).toMatchObject([{ id: inside.id, model: 'card', name: 'Mine' }]);
    const { changes } = await apply({ archiveOthers: true });
    expect(changes).toEqual([{ action: 'archive', kind: 'card', name: 'Mine', differences: [] }]);
    expect(await client.get(`card/${inside.id}`)).toMatchObject({ archived: true });
    expect(await client.get(`card/${outside.id}`)).toMatchObject({ archived: false });
  });

  test('is refused when a dashboard is there twice: which one is ours is not known', async () => {
    const client = await login();
    await client.post('dashboard', { name: 'Experiment Overview', collection_id: server.state.collections[0]!.id });
    await expect(apply()).rejects.toThrow('has 2 dashboards "Experiment Overview"');
  });

  test('is read back by mb: database, collection, dashboards, cards and rows', async () => {
    const home = await mkdtemp(join(tmpdir(), 'trialstream-mb-'));
    try {
      const { unmasked_key: key } = await (await login()).post<{ unmasked_key: string }>('api-key', {
        group_id: 2,
        name: 'mb',
      });
      const mb = async (...args: string[]) => {
        const environment = {
          PATH: process.env.PATH,
          HOME: home,
          XDG_CONFIG_HOME: home,
          MB_CLI_DISABLE_KEYRING: '1',
          MB_CLI_SKIP_PREFLIGHT: '1',
        };
        const all = [...args, '--url', server.url, '--api-key', key, '--json', '--max-bytes', '0'];
        const { stdout } = await promisify(execFile)(join(root, 'node_modules', '.bin', 'mb'), all, {
          env: environment,
        });
        return JSON.parse(stdout);
      };
      expect((await mb('db', 'list')).data).toMatchObject([{ name: 'Trialstream', engine: 'postgres' }]);
      const { data: items } = await mb('collection', 'items', String(server.state.collections[0]!.id));
      expect(items).toHaveLength(total - 3);
      const dashboard = items.find((one: { name: string }) => one.name === 'Variant Performance Comparison');
      const shown = await mb('dashboard', 'get', String(dashboard.id), '--full');
      expect(shown.parameters.map(({ slug }: { slug: string }) => slug)).toEqual([
        'experiment',
        'variant',
        'policy_version',
        'from',
        'to',
        'metric',
      ]);
      expect(shown.dashcards.length).toBe(7);
      const filter = items.find((one: { name: string }) => one.name === 'Filter values: Variant');
      expect(await mb('card', 'get', String(filter.id), '--full')).toMatchObject({
        entity_id: entityIdOf('filter/variants'),
        query_type: 'native',
      });
      const changesCard = items.find((one: { name: string }) => one.name === 'Changes of definitions');
      const target = ['variable', ['template-tag', 'experiment']];
      const parameters = JSON.stringify([{ type: 'string/=', target, value: 'checkout' }]);
      const answered = await mb('card', 'query', String(changesCard.id), '--parameters', parameters);
      expect(answered.data.rows).toHaveLength(1);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
    // Five programs are started.
  }, 180_000);
});

describe('what goes wrong', () => {
  test('is said in the words of Metabase, and ends the command with an error', async () => {
    await restart({
      spoil: ({ method, path }) =>
        method === 'POST' && path === '/api/card'
          ? { status: 400, body: { errors: { display: 'value must be a chart' } } }
          : null,
    });
    await expect(runOwnProgram('ops/main.ts', ['metabase', 'apply'], settings())).rejects.toThrow(
      'value must be a chart',
    );
  });

  test('is noticed when Metabase answers 2xx and stores an empty query', async () => {
    await restart({
      spoil: ({ method, path, body }) =>
        method === 'POST' && path === '/api/card'
          ? { status: 200, body: { ...(body as object), id: 1, dataset_query: {} } }
          : null,
    });
    await expect(apply()).rejects.toThrow('took the model "Events" and stored it otherwise: query');
  });

  test('names a wrong password, an address that is not there, a Postgres that cannot be reached', async () => {
    await apply();
    const wrong = (changed: Partial<MetabaseConfig>) =>
      provision(configOf(changed), catalogue, { isDryRun: false, archiveOthers: false, onChange: () => {} });
    await expect(wrong({ adminPassword: 'another' })).rejects.toThrow('did not match stored password');
    await expect(wrong({ url: 'http://127.0.0.1:1', waitMs: 0 })).rejects.toThrow(
      'Metabase at http://127.0.0.1:1 cannot be reached',
    );
    await restart({});
    await expect(wrong({ databaseUrl: 'postgres://analyst:wrong@127.0.0.1:1/x' })).rejects.toThrow('ECONNREFUSED');
  });

  test('goes on from where a run was cut off', async () => {
    let left = 20;
    await restart({
      spoil: ({ method }) => {
        if (method !== 'GET') left -= 1;
        return left < 0 && method !== 'GET' && left > -2 ? { status: 500, body: 'out of memory' } : null;
      },
    });
    await expect(apply()).rejects.toThrow('out of memory');
    const { changes, unchangedCount } = await apply();
    expect(unchangedCount).toBeGreaterThan(10);
    expect(changes.length + unchangedCount).toBe(total - 1);
    expect(server.state.cards).toHaveLength(catalogue.models.length + listCards(catalogue).length);
  });

  test('needs no password with an API key, and says which settings are missing', async () => {
    await apply();
    const { unmasked_key: key } = await (await login()).post<{ unmasked_key: string }>('api-key', {
      group_id: 2,
      name: 'ops',
    });
    const withKey = configOf({ apiKey: key, adminEmail: undefined, adminPassword: undefined });
    const { changes } = await provision(withKey, catalogue, {
      isDryRun: false,
      archiveOthers: false,
      onChange: () => {},
    });
    expect(changes).toEqual([]);
    const nobody = configOf({ adminPassword: undefined });
    await expect(
      provision(nobody, catalogue, { isDryRun: false, archiveOthers: false, onChange: () => {} }),
    ).rejects.toThrow('set METABASE_API_KEY, or METABASE_ADMIN_EMAIL together with METABASE_ADMIN_PASSWORD');
  });
});
