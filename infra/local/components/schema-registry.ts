// The schema registry (Apicurio, Confluent API), stored in Postgres because its default store forgets schema ids at a restart.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { type ComponentContext, defineComponent, getPort } from '../component.ts';
import { loopback } from '../ports.ts';
import { StackError } from '../stack-error.ts';
import { ensureDatabase, superuserConnection } from './postgres.ts';

const database = 'registry';
const role = 'registry';

export const schemaRegistry = defineComponent({
  name: 'schemaRegistry',
  title: 'Schema registry',
  dependsOn: ['postgres'],
  ports: { schemaRegistry: 8081 },
  stopSignal: 'TERM',
  graceSeconds: 15,
  healthDeadlineMs: 120_000,
  prepare: async (context) => {
    const { java, dir } = await context.java();
    await ensureRole(context);
    await ensureDatabase(context, database, role);
    const home = join(dir, 'schema-registry');
    const jar = (await readdir(home)).find((name) => name.endsWith('-runner.jar'));
    if (jar === undefined) throw new StackError(`No runner jar in ${home}: remove that folder and start again.`);
    return {
      file: java,
      args: [
        '-Xms64m',
        '-Xmx256m',
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        '-Xshare:auto',
        '-Djava.net.preferIPv4Stack=true',
        `-Dquarkus.http.host=${loopback}`,
        `-Dquarkus.http.port=${getPort(context, 'schemaRegistry')}`,
        '-Dquarkus.log.console.color=false',
        '-jar',
        join(home, jar),
      ],
      env: {
        APICURIO_STORAGE_KIND: 'sql',
        APICURIO_STORAGE_SQL_KIND: 'postgresql',
        APICURIO_DATASOURCE_URL: `jdbc:postgresql://${loopback}:${getPort(context, 'postgres')}/${database}`,
        APICURIO_DATASOURCE_USERNAME: role,
        APICURIO_DATASOURCE_PASSWORD: context.credentials.registryPassword,
        APICURIO_DATASOURCE_JDBC_INITIAL_SIZE: '2',
        APICURIO_DATASOURCE_JDBC_MIN_SIZE: '2',
        APICURIO_DATASOURCE_JDBC_MAX_SIZE: '10',
      },
    };
  },
  check: async (context) => {
    const response = await fetch(`${registryUrl(context)}/subjects`, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`GET /subjects answers ${response.status}`);
    if (!Array.isArray(await response.json())) throw new Error('GET /subjects does not answer a list');
  },
  endpoint: (context) => ({ url: registryUrl(context) }),
});

const registryUrl = (context: ComponentContext) =>
  `http://${loopback}:${getPort(context, 'schemaRegistry')}/apis/ccompat/v7`;

async function ensureRole(context: ComponentContext): Promise<void> {
  const client = new pg.Client(superuserConnection(context, 'postgres'));
  await client.connect();
  try {
    const password = client.escapeLiteral(context.credentials.registryPassword);
    const found = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
    if (found.rowCount === 0) await client.query(`CREATE ROLE ${role} LOGIN PASSWORD ${password}`);
  } finally {
    await client.end();
  }
}
