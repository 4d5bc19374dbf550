// Settings of the parquet-archiver group.
import {
  checkInstanceId,
  erasureSettings,
  eventTimeSettings,
  groupSettings,
  kafkaSettings,
  objectStoreSettings,
  operationsSettings,
  postgresSettings,
  registrySettings,
  tracedTelemetrySettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, setting } from '#platform/config/settings.ts';

export const parquetArchiverConfig = defineConfig(
  {
    kafka: kafkaSettings,
    group: groupSettings,
    registry: registrySettings,
    postgres: postgresSettings,
    objectStore: objectStoreSettings,
    eventTime: eventTimeSettings,
    flush: {
      maxRecords: setting('FLUSH_MAX_RECORDS', integer({ min: 1, max: 1_000_000 }), 'Records per object', {
        default: 20_000,
      }),
      maxBytes: setting(
        'FLUSH_MAX_BYTES',
        integer({ min: 1_024, max: 268_435_456 }),
        'Bytes of record values per object',
        {
          default: 8_388_608,
        },
      ),
      maxAgeMs: setting(
        'FLUSH_MAX_AGE_MS',
        integer({ min: 1, max: 3_600_000 }),
        'Longest wait of a record for its object, in ms',
        {
          default: 60_000,
        },
      ),
      maxBufferedBytes: setting(
        'MAX_BUFFERED_BYTES',
        integer({ min: 65_536, max: 1_073_741_824 }),
        'Bytes of record values held over all partitions',
        // More of them fill larger objects from a backlog, and take the process further beyond 400 MB: measured, see ADR 0014.
        { default: 16_777_216 },
      ),
      concurrency: setting('FLUSH_CONCURRENCY', integer({ min: 1, max: 32 }), 'Objects written at the same time', {
        default: 2,
      }),
    },
    erasure: erasureSettings,
    operations: operationsSettings,
    telemetry: tracedTelemetrySettings,
  },
  [checkInstanceId],
);
