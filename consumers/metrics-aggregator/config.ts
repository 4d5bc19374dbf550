// Settings of the metrics-aggregator group.
import {
  checkInstanceId,
  erasureSettings,
  eventTimeSettings,
  groupSettings,
  kafkaSettings,
  operationsSettings,
  postgresSettings,
  registrySettings,
  tracedTelemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, setting } from '#platform/config/settings.ts';

export const metricsAggregatorConfig = defineConfig(
  {
    kafka: kafkaSettings,
    group: groupSettings,
    registry: registrySettings,
    postgres: postgresSettings,
    eventTime: eventTimeSettings,
    flush: {
      maxRecords: setting('FLUSH_MAX_RECORDS', integer({ min: 1, max: 100_000 }), 'Records per flush', {
        // More events of one unit in a batch are fewer rows to update: measured, see the README.
        default: 10_000,
      }),
      maxBytes: setting(
        'FLUSH_MAX_BYTES',
        integer({ min: 1_024, max: 268_435_456 }),
        'Bytes of record values per flush',
        { default: 8_388_608 },
      ),
      maxAgeMs: setting(
        'FLUSH_MAX_AGE_MS',
        integer({ min: 1, max: 600_000 }),
        'Longest wait of a record for its flush, in ms',
        { default: 200 },
      ),
      maxBufferedBytes: setting(
        'MAX_BUFFERED_BYTES',
        integer({ min: 65_536, max: 1_073_741_824 }),
        'Bytes of record values held over all partitions',
        { default: 25_165_824 },
      ),
      concurrency: setting('FLUSH_CONCURRENCY', integer({ min: 1, max: 32 }), 'Partitions flushed at the same time', {
        default: 3,
      }),
    },
    knownExposures: {
      capacity: setting(
        'KNOWN_EXPOSURES_CAPACITY',
        integer({ min: 1, max: 10_000_000 }),
        'First exposures remembered in memory, in units and variants (up to twice as many are held)',
        { default: 200_000 },
      ),
    },
    erasure: erasureSettings,
    operations: operationsSettings,
    telemetry: tracedTelemetrySettings,
  },
  [checkInstanceId],
);
