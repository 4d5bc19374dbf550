// Settings shared by several processes; one definition each, so a variable means the same thing everywhere.
import {
  flag,
  hostPortList,
  instant,
  integer,
  oneOf,
  optionalSetting,
  type Parser,
  type SettingsOf,
  setting,
  text,
  url,
} from '#platform/config/settings.ts';

export const kafkaSettings = {
  brokers: setting('KAFKA_BROKERS', hostPortList, 'Kafka bootstrap servers'),
  namespace: optionalSetting(
    'KAFKA_NAMESPACE',
    text,
    'Prefix of every topic and group, for several environments on one cluster',
  ),
  ssl: setting('KAFKA_SSL', flag, 'Connect to Kafka with TLS', { default: false }),
  username: optionalSetting('KAFKA_USERNAME', text, 'SASL SCRAM-SHA-512 user; no SASL when absent'),
  password: optionalSetting('KAFKA_PASSWORD', text, 'SASL password', { secret: true }),
};

/** Membership of a consumer group. */
export const groupSettings = {
  client: setting('KAFKA_CLIENT', oneOf(['kafkajs', 'platformatic']), 'Client library of the group member', {
    default: 'kafkajs',
  }),
  sessionTimeoutMs: setting(
    'KAFKA_SESSION_TIMEOUT_MS',
    integer({ min: 1_000, max: 300_000 }),
    'Silence of a member after which others get its partitions, in ms; brokers accept 6000 and more unless told otherwise',
    { default: 8_000 },
  ),
  instanceId: optionalSetting(
    'KAFKA_GROUP_INSTANCE_ID',
    text,
    'Name of this member over restarts, unique in its group: a restart within the session timeout then moves no partition; needs KAFKA_CLIENT=platformatic',
  ),
  stallTimeoutMs: setting(
    'STALL_TIMEOUT_MS',
    integer({ min: 1_000, max: 3_600_000 }),
    'A member that fetches nothing for so long although there is more ends its process, in ms',
    { default: 60_000 },
  ),
};

export type GroupSettings = SettingsOf<typeof groupSettings>;

/** kafkajs has no static membership. */
export function checkInstanceId({ group }: { readonly group: GroupSettings }): string | undefined {
  return group.instanceId !== undefined && group.client === 'kafkajs'
    ? 'KAFKA_GROUP_INSTANCE_ID only together with KAFKA_CLIENT=platformatic'
    : undefined;
}

export const registrySettings = {
  url: setting(
    'SCHEMA_REGISTRY_URL',
    url(['http:', 'https:']),
    'Base address of the Confluent-compatible schema registry',
  ),
};

export const postgresSettings = {
  url: setting(
    'POSTGRES_URL',
    url(['postgres:', 'postgresql:']),
    'Postgres connection of this process, with its own role',
    { secret: true },
  ),
  poolSize: setting('POSTGRES_POOL_SIZE', integer({ min: 1, max: 100 }), 'Most connections held at once', {
    default: 8,
  }),
};

export const objectStoreSettings = {
  endpoint: optionalSetting('S3_ENDPOINT', url(['http:', 'https:']), 'S3 endpoint; the AWS default when absent'),
  region: setting('S3_REGION', text, 'S3 region'),
  accessKeyId: setting('S3_ACCESS_KEY_ID', text, 'S3 access key'),
  secretAccessKey: setting('S3_SECRET_ACCESS_KEY', text, 'S3 secret key', { secret: true }),
  bucket: setting('S3_BUCKET', text, 'Object store bucket of archive and datasets'),
};

export const telemetrySettings = {
  logLevel: setting('LOG_LEVEL', oneOf(['debug', 'info', 'warn', 'error']), 'Lowest level that is logged', {
    default: 'info',
  }),
};

/** Of processes that take part in traces. */
export const tracedTelemetrySettings = {
  ...telemetrySettings,
  traces: {
    endpoint: optionalSetting(
      'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
      url(['http:', 'https:']),
      'OTLP/HTTP address that traces are sent to, such as http://collector:4318/v1/traces; no traces when absent',
    ),
    oneIn: setting(
      'TRACE_ONE_IN',
      integer({ min: 1, max: 1_000_000 }),
      'Of so many requests one is traced, where the caller has not decided',
      { default: 100 },
    ),
  },
};

export const operationsSettings = {
  host: setting('OPERATIONS_HOST', text, 'Address of the health and metrics endpoints', { default: '127.0.0.1' }),
  port: setting(
    'OPERATIONS_PORT',
    integer({ min: 0, max: 65535 }),
    'Port of /healthz, /readyz and /metrics (0: any free port)',
  ),
};

export const httpSettings = {
  host: setting('HTTP_HOST', text, 'Address the service listens on', { default: '127.0.0.1' }),
  port: setting('HTTP_PORT', integer({ min: 0, max: 65535 }), 'Port the service listens on (0: any free port)'),
};

/** Bounds of accepted event times, used at the door and again by every consumer. */
export const eventTimeSettings = {
  earliestMs: setting('EVENT_TIME_EARLIEST', instant, 'Earliest accepted event time', {
    default: Date.UTC(2015, 0, 1),
  }),
  maxAheadMs: setting(
    'EVENT_TIME_MAX_AHEAD_MS',
    integer({ min: 0, max: 86_400_000 }),
    'How far event time may be ahead of the clock, in ms',
    {
      default: 3_600_000,
    },
  ),
};

const longSecret: Parser<string> = {
  expected: 'a random secret of at least 32 characters',
  parse: (value) => (value.length >= 32 ? value : undefined),
};

/** One key for all processes of a database, for ever: with another one they would not recognize erased units. */
export const erasureSettings = {
  key: setting('ERASURE_KEY', longSecret, 'Key of the hashes by which erased units are recognized', { secret: true }),
};

const origins: Parser<readonly string[]> = {
  expected: 'a comma-separated list of origins such as https://shop.example',
  parse: (value) => {
    const entries = value.split(',').map((entry) => entry.trim());
    return entries.every((entry) => URL.canParse(entry) && new URL(entry).origin === entry) ? entries : undefined;
  },
};

export const corsSettings = {
  origins: setting('CORS_ORIGINS', origins, 'Origins whose web pages may call the service; none when absent', {
    default: [],
  }),
};

export const rateLimitSettings = {
  requestsPerSecond: setting(
    'RATE_LIMIT_PER_SECOND',
    integer({ min: 1, max: 1_000_000 }),
    'Requests per second that one API key may make over time: of one instance, or of all together with Redis',
    { default: 10_000 },
  ),
  burst: setting(
    'RATE_LIMIT_BURST',
    integer({ min: 1, max: 1_000_000 }),
    'Requests that one API key may make at once after a pause, counted in the same way',
    { default: 20_000 },
  ),
};

export const redisUrlSetting = optionalSetting(
  'REDIS_URL',
  url(['redis:', 'rediss:']),
  'Redis in which instances count rate limits together; each counts alone when absent',
  { secret: true },
);

/** Redis is not optional for jobs: it holds them. */
export const queueRedisSetting = setting(
  'REDIS_URL',
  {
    ...url(['redis:', 'rediss:']),
    expected: 'a URL starting with redis:// or rediss:// (a local stack has Redis with "npm run up -- --profile ml")',
  },
  'Redis that holds the queues of jobs',
  { secret: true },
);

/** Who only looks at the queues does without. */
export const queueRedisToInspectSetting = optionalSetting(
  'REDIS_URL',
  url(['redis:', 'rediss:']),
  'Redis that holds the queues of jobs; they are not looked at when absent',
  { secret: true },
);

export const mlflowSettings = {
  url: optionalSetting(
    'MLFLOW_URL',
    url(['http:', 'https:']),
    'MLflow server of runs, datasets and models; what needs it says so when it is absent',
  ),
};

export const codeCommitSetting = optionalSetting(
  'CODE_COMMIT',
  text,
  'Commit of the running code, for records; asked of git when absent',
);
