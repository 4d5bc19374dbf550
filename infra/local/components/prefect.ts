// The Prefect server: schedules of the flows in pipelines/ and what became of their runs, in Postgres. Only with the profile `ml`.
import { join } from 'node:path';
import { type ComponentContext, defineComponent, getPort } from '../component.ts';
import { loopback } from '../ports.ts';
import { ensurePythonEnvironment } from '../python-environment.ts';
import { prefectPackages } from '../python-packages.ts';
import { ensureDatabase, ensureRole } from './postgres.ts';

const database = 'prefect';
const role = 'prefect';

export const prefect = defineComponent({
  name: 'prefect',
  title: 'Prefect',
  profile: 'ml',
  dependsOn: ['postgres'],
  ports: { prefect: 4200 },
  stopSignal: 'TERM',
  graceSeconds: 20,
  healthDeadlineMs: 180_000,
  prepare: async (context) => {
    const environment = await ensurePythonEnvironment(prefectPackages, context.onProgress);
    await ensureRole(context, role, context.credentials.prefectPassword);
    await ensureDatabase(context, database, role);
    return {
      file: join(environment, 'bin', 'prefect'),
      args: ['server', 'start', '--host', loopback, '--port', String(getPort(context, 'prefect'))],
      env: {
        PATH: `${join(environment, 'bin')}:${process.env.PATH ?? '/usr/bin:/bin'}`,
        PREFECT_HOME: context.dataDir,
        // Not among the arguments, which every user of the machine can read.
        PREFECT_SERVER_DATABASE_CONNECTION_URL: `postgresql+asyncpg://${role}:${context.credentials.prefectPassword}@${loopback}:${getPort(context, 'postgres')}/${database}`,
        PREFECT_SERVER_ANALYTICS_ENABLED: 'false',
        DO_NOT_TRACK: '1',
      },
    };
  },
  check: async (context) => {
    // Asks the database, unlike /health.
    const response = await fetch(`${prefectUrl(context)}/deployments/count`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
      signal: AbortSignal.timeout(5_000),
    });
    if (!response.ok) throw new Error(`POST /deployments/count answers ${response.status}`);
    await response.json();
  },
  endpoint: (context) => ({ url: prefectUrl(context) }),
});

const prefectUrl = (context: ComponentContext) => `http://${loopback}:${getPort(context, 'prefect')}/api`;
