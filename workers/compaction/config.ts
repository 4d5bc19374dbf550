// Settings of the compaction of the archive.
import {
  erasureSettings,
  kafkaSettings,
  objectStoreSettings,
  postgresSettings,
} from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, setting } from '#platform/config/settings.ts';

const dayMs = 86_400_000;

export const compactionConfig = defineConfig({
  namespace: kafkaSettings.namespace,
  postgres: postgresSettings,
  objectStore: objectStoreSettings,
  erasure: erasureSettings,
  compaction: {
    settleMs: setting(
      'COMPACTION_SETTLE_MS',
      integer({ min: 0, max: dayMs }),
      'How long after its end an hour is left to the archiver, in ms',
      { default: 900_000 },
    ),
    graceMs: setting(
      'COMPACTION_GRACE_MS',
      integer({ min: 0, max: 30 * dayMs }),
      'How long an object that was replaced stays for readers that have begun, in ms',
      { default: dayMs },
    ),
    maxRows: setting('COMPACTION_MAX_ROWS', integer({ min: 1_000, max: 50_000_000 }), 'Most rows per file', {
      default: 5_000_000,
    }),
    maxBytes: setting(
      'COMPACTION_MAX_BYTES',
      integer({ min: 1_048_576, max: 1_073_741_824 }),
      'Most bytes of input objects per file',
      { default: 268_435_456 },
    ),
    retentionDays: optionalSetting(
      'ARCHIVE_RETENTION_DAYS',
      integer({ min: 30, max: 36_500 }),
      'Objects of older days (broker append time) are deleted; kept for ever when absent',
    ),
  },
});
