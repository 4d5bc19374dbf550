// Settings of the planner service.
import {
  corsSettings,
  eventTimeSettings,
  httpSettings,
  postgresSettings,
  rateLimitSettings,
  redisUrlSetting,
  tracedTelemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, type Parser, setting, text, url } from '#platform/config/settings.ts';

const price: Parser<number> = {
  expected: 'a price in USD from 0 to 10000, such as 0.15',
  parse: (value) => (/^\d{1,5}(\.\d{1,6})?$/.test(value) && Number(value) <= 10_000 ? Number(value) : undefined),
};

const modelVersion: Parser<string> = {
  expected: 'a registered model version such as planner_model/3',
  parse: (value) => (/^.+\/[1-9]\d{0,8}$/.test(value) ? value : undefined),
};

export const plannerServiceConfig = defineConfig({
  postgres: postgresSettings,
  http: httpSettings,
  cors: corsSettings,
  rateLimit: rateLimitSettings,
  redisUrl: redisUrlSetting,
  neighbors: {
    assignmentUrl: setting('ASSIGNMENT_URL', url(['http:', 'https:']), 'Base address of the assignment service'),
    ingestionUrl: setting('INGESTION_URL', url(['http:', 'https:']), 'Base address of the ingestion service'),
    apiKey: setting('API_KEY', text, 'API key with the scopes assign and ingest', { secret: true }),
    assignmentTimeoutMs: setting(
      'ASSIGNMENT_TIMEOUT_MS',
      integer({ min: 10, max: 60_000 }),
      'Longest wait for an assignment, in ms; then the household gets the production version and counts in no experiment',
      { default: 1_000 },
    ),
  },
  inference: {
    url: optionalSetting(
      'INFERENCE_URL',
      url(['http:', 'https:']),
      'Base address of the inference process; without it every plan is made by the rules',
    ),
    deadlineMs: setting(
      'MODEL_DEADLINE_MS',
      integer({ min: 10, max: 60_000 }),
      'Longest wait for a plan of a model, in ms, where the policy version does not say; then the rules make it',
      { default: 3_000 },
    ),
    inputPriceUsd: setting('INPUT_TOKEN_PRICE_USD', price, 'USD for a million tokens that a model reads', {
      default: 0.15,
    }),
    outputPriceUsd: setting('OUTPUT_TOKEN_PRICE_USD', price, 'USD for a million tokens that a model answers', {
      default: 0.6,
    }),
  },
  policy: {
    name: setting('POLICY_NAME', text, 'Policy whose versions make the plans', { default: 'planner' }),
    refreshIntervalMs: setting(
      'POLICY_REFRESH_MS',
      integer({ min: 100, max: 3_600_000 }),
      'How often policy versions and recipes are read again, in ms',
      { default: 2_000 },
    ),
  },
  shadow: {
    model: optionalSetting(
      'SHADOW_MODEL',
      modelVersion,
      'Model version that plans the same requests without its plans being used',
    ),
    concurrency: setting(
      'SHADOW_CONCURRENCY',
      integer({ min: 1, max: 100 }),
      'Most shadow plans under way; further ones are skipped and counted',
      { default: 2 },
    ),
  },
  limits: {
    maxInFlight: setting('MAX_IN_FLIGHT_PLANS', integer({ min: 1, max: 10_000 }), 'Most plans under way at once', {
      default: 200,
    }),
    maxQueuedEvents: setting(
      'MAX_QUEUED_EVENTS',
      integer({ min: 10, max: 1_000_000 }),
      'Most events that wait for the ingestion service; a plan that finds no room is refused',
      { default: 10_000 },
    ),
    maxQueuedEventBytes: setting(
      'MAX_QUEUED_EVENT_BYTES',
      integer({ min: 65_536, max: 1_073_741_824 }),
      'Most bytes of events that wait for the ingestion service; a plan that finds no room is refused',
      { default: 67_108_864 },
    ),
    eventRetryMs: setting(
      'EVENT_RETRY_MS',
      integer({ min: 1_000, max: 86_400_000 }),
      'How long an event is sent again while the ingestion service is away, in ms; then it is lost and counted',
      { default: 300_000 },
    ),
  },
  eventTime: eventTimeSettings,
  telemetry: tracedTelemetrySettings,
});
