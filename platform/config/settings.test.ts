// Tests of settings: all problems at once, secrets hidden, types and defaults as declared.
import { describe, expect, it } from 'vitest';
import { kafkaSettings, postgresSettings } from '#platform/config/common-settings.ts';
import {
  defineConfig,
  flag,
  formatProblems,
  instant,
  integer,
  listSettings,
  parseSettings,
  setting,
} from '#platform/config/settings.ts';

const schema = defineConfig(
  {
    kafka: kafkaSettings,
    postgres: postgresSettings,
    flush: {
      maxRecords: setting('FLUSH_MAX_RECORDS', integer({ min: 1, max: 100 }), 'Records per flush', { default: 50 }),
      minRecords: setting('FLUSH_MIN_RECORDS', integer({ min: 1, max: 100 }), 'Records per flush', { default: 1 }),
    },
  },
  [
    (settings) =>
      settings.flush.minRecords > settings.flush.maxRecords ? 'FLUSH_MIN_RECORDS <= FLUSH_MAX_RECORDS' : undefined,
  ],
);

describe('parseSettings', () => {
  it('reads a nested typed object', () => {
    const parsed = parseSettings(schema, {
      KAFKA_BROKERS: 'a:1, b:2',
      POSTGRES_URL: 'postgres://u:p@h/d',
      KAFKA_SSL: 'true',
    });
    expect(parsed).toEqual({
      ok: true,
      settings: {
        kafka: { brokers: ['a:1', 'b:2'], namespace: undefined, ssl: true, username: undefined, password: undefined },
        postgres: { url: 'postgres://u:p@h/d', poolSize: 8 },
        flush: { maxRecords: 50, minRecords: 1 },
      },
    });
  });

  it('reports every problem at once and never shows a secret', () => {
    const parsed = parseSettings(schema, {
      KAFKA_BROKERS: 'nonsense',
      POSTGRES_URL: 'secret-password',
      FLUSH_MAX_RECORDS: '0',
    });
    expect(parsed.ok).toBe(false);
    if (parsed.ok) return;
    expect(parsed.problems.map((problem) => problem.name)).toEqual([
      'KAFKA_BROKERS',
      'POSTGRES_URL',
      'FLUSH_MAX_RECORDS',
    ]);
    const report = formatProblems(parsed.problems);
    expect(report).toContain('3 settings are wrong');
    expect(report).toContain('received "nonsense"; expected a comma-separated list of host:port');
    expect(report).not.toContain('secret-password');
  });

  it('checks rules over several settings', () => {
    const parsed = parseSettings(schema, {
      KAFKA_BROKERS: 'a:1',
      POSTGRES_URL: 'postgres://h/d',
      FLUSH_MIN_RECORDS: '60',
    });
    expect(parsed.ok).toBe(false);
  });

  it('has no default for brokers or the database', () => {
    const parsed = parseSettings(schema, {});
    expect(parsed.ok ? [] : parsed.problems.map((problem) => problem.name)).toEqual(['KAFKA_BROKERS', 'POSTGRES_URL']);
  });

  it('lists settings for documentation', () => {
    expect(listSettings(schema.shape).map((entry) => entry.name)).toContain('POSTGRES_POOL_SIZE');
  });
});

describe('parsers', () => {
  it('refuse what is not of their kind', () => {
    expect(integer({ min: 0, max: 9 }).parse('1.5')).toBeUndefined();
    expect(flag.parse('yes')).toBeUndefined();
    expect(instant.parse('2020-01-01')).toBeUndefined();
    expect(instant.parse('2020-01-01T00:00:00Z')).toBe(1577836800000);
  });
});
