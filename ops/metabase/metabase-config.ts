// Settings of `ops metabase apply`: where Metabase is, who to be there, and how Metabase itself reaches Postgres.
import {
  defineConfig,
  integer,
  optionalSetting,
  type SettingsOf,
  setting,
  text,
  url,
} from '#platform/config/settings.ts';

export const metabaseConfig = defineConfig({
  url: setting('METABASE_URL', url(['http:', 'https:']), 'Base address of Metabase'),
  apiKey: optionalSetting('METABASE_API_KEY', text, 'API key of an administrator, instead of email and password', {
    secret: true,
  }),
  adminEmail: optionalSetting(
    'METABASE_ADMIN_EMAIL',
    text,
    'Administrator to log in as; a Metabase that has no users gets this one',
  ),
  adminPassword: optionalSetting('METABASE_ADMIN_PASSWORD', text, 'Password of that administrator', { secret: true }),
  databaseUrl: setting(
    'METABASE_DATABASE_URL',
    url(['postgres:', 'postgresql:']),
    'Postgres as Metabase reaches it, with the role analyst; TLS with ?sslmode=require',
    { secret: true },
  ),
  waitMs: setting(
    'METABASE_WAIT_MS',
    integer({ min: 0, max: 3_600_000 }),
    'How long to wait for a Metabase that is still starting, in ms',
    { default: 180_000 },
  ),
});

export type MetabaseConfig = SettingsOf<(typeof metabaseConfig)['shape']>;
