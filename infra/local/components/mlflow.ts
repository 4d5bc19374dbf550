// The MLflow server: runs and models in Postgres, artifacts in the object store. Only with the profile `ml`, because it needs Python.
import { join } from 'node:path';
import { type ComponentContext, defineComponent, getPort } from '../component.ts';
import { loopback } from '../ports.ts';
import { ensurePythonEnvironment } from '../python-environment.ts';
import { mlflowPackages } from '../python-packages.ts';
import { objectStore } from './object-store.ts';
import { ensureDatabase, ensureRole } from './postgres.ts';

const database = 'mlflow';
const role = 'mlflow';

export const mlflow = defineComponent({
  name: 'mlflow',
  title: 'MLflow',
  profile: 'ml',
  dependsOn: ['postgres', 'objectStore'],
  ports: { mlflow: 5000 },
  stopSignal: 'TERM',
  graceSeconds: 20,
  healthDeadlineMs: 180_000,
  prepare: async (context) => {
    const environment = await ensurePythonEnvironment(mlflowPackages, context.onProgress);
    await ensureRole(context, role, context.credentials.mlflowPassword);
    await ensureDatabase(context, database, role);
    const bin = join(environment, 'bin');
    const store = objectStore.endpoint(context);
    return {
      file: join(bin, 'mlflow'),
      args: [
        'server',
        ...['--host', loopback, '--port', String(getPort(context, 'mlflow'))],
        ...['--artifacts-destination', `s3://${store.objectStoreBucket}/mlflow`],
        // One worker: each takes about 400 MB, and the migrations of the database run once.
        ...['--workers', '1'],
        // Names under which clients may reach it; others are refused, which stops DNS rebinding.
        ...['--allowed-hosts', `${loopback}:*,localhost:*,mlflow:*`],
      ],
      env: {
        // The server starts its web server by name.
        PATH: `${bin}:${process.env.PATH ?? '/usr/bin:/bin'}`,
        // Not among the arguments, which every user of the machine can read.
        MLFLOW_BACKEND_STORE_URI: `postgresql://${role}:${context.credentials.mlflowPassword}@${loopback}:${getPort(context, 'postgres')}/${database}`,
        MLFLOW_S3_ENDPOINT_URL: store.endpoint,
        AWS_ACCESS_KEY_ID: store.accessKeyId,
        AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
        AWS_DEFAULT_REGION: store.region,
        // The checksums of newer clients are not known to every S3 server.
        AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
        AWS_RESPONSE_CHECKSUM_VALIDATION: 'when_required',
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION: 'false',
        MLFLOW_DISABLE_TELEMETRY: 'true',
        DO_NOT_TRACK: '1',
        GIT_PYTHON_REFRESH: 'quiet',
      },
    };
  },
  check: async (context) => {
    // /health answers before the database is used; this asks the model registry.
    const path = '/api/2.0/mlflow/registered-models/search?max_results=1';
    const response = await fetch(`${mlflowUrl(context)}${path}`, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`GET ${path} answers ${response.status}`);
    await response.json();
  },
  endpoint: (context) => ({ url: mlflowUrl(context) }),
});

const mlflowUrl = (context: ComponentContext) => `http://${loopback}:${getPort(context, 'mlflow')}`;
