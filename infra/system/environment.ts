// The environment of each of our processes on a local stack.
import { join } from 'node:path';
import { jobKindNames } from '#domain/jobs/job-kinds.ts';
import type { StackEndpoints } from '../local/components.ts';
import { cacheDir } from '../local/local-dir.ts';
import { deriveLocalAccess, type LocalAccess, urlOfRole } from './local-access.ts';
import type { ProcessName, ProcessSpec } from './process-specs.ts';
import type { SystemFile } from './system-file.ts';

type Environment = Readonly<Record<string, string>>;

/** Kafka, registry and log settings that every process shares. */
function commonEnvironment(endpoints: StackEndpoints): Environment {
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: process.env.HOME ?? '/',
    TZ: 'UTC',
    NODE_ENV: 'production',
    // A third less work at each start.
    NODE_COMPILE_CACHE: join(cacheDir, 'node-compile'),
    KAFKA_BROKERS: endpoints.kafka.brokers.join(','),
    SCHEMA_REGISTRY_URL: endpoints.schemaRegistry.url,
  };
}

/** S3 settings under the names that common-settings.ts reads. */
export function objectStoreEnvironment(endpoints: Pick<StackEndpoints, 'objectStore'>): Environment {
  const { endpoint, region, accessKeyId, secretAccessKey, objectStoreBucket } = endpoints.objectStore;
  return {
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
    S3_BUCKET: objectStoreBucket,
  };
}

/** Where MLflow is, when the stack runs with it. */
export const mlflowEnvironment = ({ mlflow }: StackEndpoints): Environment =>
  mlflow === undefined ? {} : { MLFLOW_URL: mlflow.url };

/** Where services count rate limits together and jobs wait, when the stack runs with Redis. */
const redisEnvironment = ({ redis }: StackEndpoints): Environment =>
  redis === undefined ? {} : { REDIS_URL: redis.url };

/** Settings of `ops deploy` and other administrative commands: the superuser's connection. */
export function administratorEnvironment(endpoints: StackEndpoints, access: LocalAccess): Environment {
  return {
    ...commonEnvironment(endpoints),
    ...objectStoreEnvironment(endpoints),
    POSTGRES_URL: endpoints.postgres.superuserUrl,
    POSTGRES_ROLE_PASSWORD: access.rolePassword,
    ERASURE_KEY: access.erasureKey,
    KAFKA_REPLICATION_FACTOR: '1',
    ...mlflowEnvironment(endpoints),
    ...redisEnvironment(endpoints),
    LOG_LEVEL: 'warn',
  };
}

/** Names that belong to the machine and its shells, not to the system. */
const shellsOwn: readonly string[] = ['PATH', 'HOME', 'TZ', 'NODE_ENV', 'LOG_LEVEL'];

/** Everything about a local system that a person's shell can use: addresses, credentials, and API keys where services run. */
export function shellEnvironment(endpoints: StackEndpoints, system: SystemFile | null): Environment {
  const access = deriveLocalAccess(endpoints);
  const urlOf = (name: ProcessName): string => system?.processes[name]?.url ?? '';
  return {
    ...Object.fromEntries(
      Object.entries(administratorEnvironment(endpoints, access)).filter(([name]) => !shellsOwn.includes(name)),
    ),
    ...(system === null
      ? {}
      : {
          ASSIGNMENT_URL: urlOf('assignment-service'),
          INGESTION_URL: urlOf('ingestion-service'),
          API_KEY: access.ingestKey,
          ADMIN_KEY: access.adminKey,
        }),
  };
}

/** Settings of one process with the rights of its own role. */
export function processEnvironment(options: {
  spec: ProcessSpec;
  endpoints: StackEndpoints;
  access: LocalAccess;
  port: number;
  overrides?: Environment;
}): Environment {
  const { spec, endpoints, access } = options;
  return {
    ...commonEnvironment(endpoints),
    ...(spec.needsObjectStore ? objectStoreEnvironment(endpoints) : {}),
    ...(['assignment-service', 'job-worker'].includes(spec.name) ? mlflowEnvironment(endpoints) : {}),
    ...(spec.portSetting === 'HTTP_PORT' || spec.needsRedis === true ? redisEnvironment(endpoints) : {}),
    // A checkout can train.
    ...(spec.name === 'job-worker' ? { JOB_KINDS: jobKindNames.join(',') } : {}),
    POSTGRES_URL: urlOfRole(endpoints, spec.role, access.rolePassword),
    ERASURE_KEY: access.erasureKey,
    [spec.portSetting]: String(options.port),
    LOG_LEVEL: 'info',
    ...options.overrides,
  };
}
