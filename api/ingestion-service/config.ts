// Settings of the ingestion service.
import {
  corsSettings,
  eventTimeSettings,
  httpSettings,
  kafkaSettings,
  postgresSettings,
  rateLimitSettings,
  redisUrlSetting,
  registrySettings,
  tracedTelemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, setting } from '#platform/config/settings.ts';

export const ingestionServiceConfig = defineConfig({
  kafka: kafkaSettings,
  registry: registrySettings,
  postgres: postgresSettings,
  http: httpSettings,
  eventTime: eventTimeSettings,
  cors: corsSettings,
  rateLimit: rateLimitSettings,
  redisUrl: redisUrlSetting,
  limits: {
    maxBodyBytes: setting(
      'MAX_BODY_BYTES',
      integer({ min: 1_024, max: 16_777_216 }),
      'Largest request body, inflated',
      { default: 2_097_152 },
    ),
    maxEvents: setting('MAX_EVENTS_PER_REQUEST', integer({ min: 1, max: 10_000 }), 'Most events of one request', {
      default: 1_000,
    }),
    maxInFlightRequests: setting('MAX_IN_FLIGHT_REQUESTS', integer({ min: 1, max: 100_000 }), 'Requests held at once', {
      default: 2_000,
    }),
    maxInFlightBytes: setting(
      'MAX_IN_FLIGHT_BYTES',
      integer({ min: 65_536, max: 1_073_741_824 }),
      'Bytes of request bodies held at once',
      {
        default: 33_554_432,
      },
    ),
    callerSharePercent: setting(
      'CALLER_SHARE_PERCENT',
      integer({ min: 1, max: 100 }),
      'Part of these bounds that one API key may hold',
      {
        default: 75,
      },
    ),
    maxQueuedRecords: setting('MAX_QUEUED_RECORDS', integer({ min: 1, max: 1_000_000 }), 'Events that wait for Kafka', {
      default: 50_000,
    }),
    maxQueuedBytes: setting(
      'MAX_QUEUED_BYTES',
      integer({ min: 65_536, max: 1_073_741_824 }),
      'Bytes of events that wait for Kafka',
      {
        default: 33_554_432,
      },
    ),
  },
  deliveryTimeoutMs: setting(
    'DELIVERY_TIMEOUT_MS',
    integer({ min: 100, max: 120_000 }),
    'Longest wait for Kafka before 503, in ms',
    {
      default: 10_000,
    },
  ),
  telemetry: tracedTelemetrySettings,
});
