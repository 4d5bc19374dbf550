// Postgres 18 from the binaries of the npm package, with durable settings: promises about durability are tested on it.

import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { type ComponentContext, defineComponent, getPort } from '../component.ts';
import { runProgram } from '../lifeline.ts';
import { postgresFallbackDir } from '../local-dir.ts';
import { loopback } from '../ports.ts';
import { choosePostgresPlace, type PostgresPlace } from './postgres-place.ts';

const superuser = 'postgres';
const database = 'trialstream';

export const postgres = defineComponent({
  name: 'postgres',
  title: 'Postgres',
  dependsOn: [],
  ports: { postgres: 5432 },
  // Fast shutdown: TERM would wait for every client to leave.
  stopSignal: 'INT',
  graceSeconds: 30,
  healthDeadlineMs: 60_000,
  prepare: async (context) => {
    const place = await choosePostgresPlace(context.localDir, context.dataDir);
    await initialize(place, context);
    const settings = serverSettings(context);
    return {
      file: join(place.binDir, 'postgres'),
      args: [
        '-D',
        place.clusterDir,
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      env: place.env,
      cwd: place.clusterDir,
      ...(place.user === undefined ? {} : { user: place.user }),
    };
  },
  check: async (context) => {
    await withSuperuser(context, 'postgres', async (client) => {
      await client.query('SELECT 1');
    });
  },
  provision: (context) => ensureDatabase(context, database, superuser),
  endpoint: (context) => {
    const port = getPort(context, 'postgres');
    const password = context.credentials.postgresPassword;
    return {
      host: loopback,
      port,
      database,
      superuser,
      superuserPassword: password,
      superuserUrl: `postgres://${superuser}:${password}@${loopback}:${port}/${database}`,
    };
  },
  foldersElsewhere: (localDir) => [postgresFallbackDir(localDir)],
});

function serverSettings(context: ComponentContext): Record<string, string> {
  return {
    listen_addresses: loopback,
    port: String(getPort(context, 'postgres')),
    // Sockets of the file system would need a folder with a short path; nothing uses them.
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '256MB',
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    max_wal_size: '2GB',
    TimeZone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %q%u@%d ',
    jit: 'off',
  };
}

async function initialize(place: PostgresPlace, context: ComponentContext): Promise<void> {
  if (existsSync(join(place.clusterDir, 'PG_VERSION'))) return;
  // Made under another name: an initdb that was cut short is never taken for a cluster.
  const unfinished = `${place.clusterDir}.unfinished`;
  const passwordFile = join(place.dir, 'password');
  await rm(unfinished, { recursive: true, force: true });
  await writeFile(passwordFile, context.credentials.postgresPassword, { mode: 0o600 });
  await place.giveToUser(passwordFile);
  try {
    await runProgram({
      file: join(place.binDir, 'initdb'),
      args: [
        ...['--pgdata', unfinished, '--username', superuser, '--pwfile', passwordFile],
        ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C'],
        ...['--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ],
      env: place.env,
      cwd: place.dir,
      logPath: join(context.logDir, 'postgres.log'),
      ...(place.user === undefined ? {} : { user: place.user }),
    });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(unfinished, place.clusterDir);
}

export function superuserConnection(context: ComponentContext, inDatabase: string): pg.ClientConfig {
  return {
    host: loopback,
    port: getPort(context, 'postgres'),
    user: superuser,
    password: context.credentials.postgresPassword,
    database: inDatabase,
    connectionTimeoutMillis: 3_000,
    query_timeout: 5_000,
    application_name: 'trialstream-local-stack',
  };
}

async function withSuperuser(
  context: ComponentContext,
  inDatabase: string,
  use: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client(superuserConnection(context, inDatabase));
  // A server that stops closes the connection, and an error nobody listens to would end this process.
  client.on('error', () => {});
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

/** Creates the database unless it exists. Both names are constants of ours. */
export async function ensureDatabase(context: ComponentContext, name: string, owner: string): Promise<void> {
  await withSuperuser(context, 'postgres', async (client) => {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${name} OWNER ${owner}`);
  });
}

/** Creates a role that logs in with the password unless it exists. The name is a constant of ours. */
export async function ensureRole(context: ComponentContext, name: string, password: string): Promise<void> {
  await withSuperuser(context, 'postgres', async (client) => {
    const found = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
    if (found.rowCount === 0)
      await client.query(`CREATE ROLE ${name} LOGIN PASSWORD ${client.escapeLiteral(password)}`);
  });
}
