// Waits for Metabase, sets it up when it has no user yet, and logs in.
import { setTimeout as delay } from 'node:timers/promises';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { createMetabaseClient, type MetabaseClient } from '#platform/metabase/metabase-client.ts';
import type { MetabaseConfig } from './metabase-config.ts';

type Properties = { 'setup-token'?: string | null; 'has-user-setup'?: boolean };

const pollMs = 1_000;
const refuse = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });

/** Health turns green before the other routes answer, so both are asked. @throws when the time is over. */
async function waitForMetabase(client: MetabaseClient, waitMs: number): Promise<Properties> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      await client.get('health');
      return await client.get<Properties>('session/properties');
    } catch (error) {
      if (!(error instanceof RetryableError) || Date.now() + pollMs > deadline) throw error;
      await delay(pollMs);
    }
  }
}

/**
 * A client with the rights of the administrator; `isNew` when Metabase has no user. With `isDryRun` nobody is made then, and the
 * client is null: there is nothing to look at.
 */
export async function openMetabase(
  config: MetabaseConfig,
  { isDryRun }: { isDryRun: boolean },
): Promise<{ client: MetabaseClient | null; isNew: boolean }> {
  const { url, apiKey, adminEmail, adminPassword, waitMs } = config;
  if (apiKey === undefined && (adminEmail === undefined || adminPassword === undefined))
    throw refuse('set METABASE_API_KEY, or METABASE_ADMIN_EMAIL together with METABASE_ADMIN_PASSWORD');
  const stranger = createMetabaseClient(url, null);
  const properties = await waitForMetabase(stranger, waitMs);
  const isNew = properties['has-user-setup'] === false;
  if (!isNew) {
    if (apiKey !== undefined) return { client: createMetabaseClient(url, { kind: 'key', key: apiKey }), isNew };
    const { id } = await stranger.post<{ id: string }>('session', { username: adminEmail, password: adminPassword });
    return { client: createMetabaseClient(url, { kind: 'session', session: id }), isNew };
  }
  if (adminEmail === undefined || adminPassword === undefined)
    throw refuse(
      `Metabase at ${url} has no user yet: set METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD for the first one`,
    );
  if (isDryRun) return { client: null, isNew };
  const token = properties['setup-token'];
  if (token === undefined || token === null) throw refuse(`Metabase at ${url} has no user and gives no setup token`);
  const { id } = await stranger.post<{ id: string }>('setup', {
    token,
    user: { email: adminEmail, password: adminPassword, first_name: 'Trialstream', last_name: 'Administrator' },
    prefs: { site_name: 'Trialstream', site_locale: 'en' },
  });
  return { client: createMetabaseClient(url, { kind: 'session', session: id }), isNew };
}
