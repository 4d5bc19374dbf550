// Every card on real data as the role of Metabase: with all combinations of filters, typed as its JDBC driver types them.
import { describe, expect, test } from 'vitest';
import { drawCard } from '#infra/metabase/draw-card.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { expandTemplate, type TagValue } from '#tests/support/metabase/expand-template.ts';
import { catalogue, listCards, readSql } from './catalogue.ts';
import { columnsOfChart } from './lint.ts';
import { tagsOf as tagsIn } from './metabase-form.ts';
import type { CardSpec, FilterName, ModelSpec } from './spec.ts';

type Values = Partial<Record<FilterName, TagValue>>;
type Query = Pick<Pool, 'query'>;
type Row = Readonly<Record<string, unknown>>;

/** What the data of both workloads has. */
const something: Values = {
  experiment: 'planner-policy',
  variant: 'candidate',
  policy_version: 'meal-planner@2',
  metric: 'edits',
  from: '2026-01-05',
  // Replays and results are recorded when they happen, which is later than the simulated traffic.
  to: new Date().toISOString().slice(0, 10),
};
const nothing: Values = {
  experiment: 'no-such-experiment',
  variant: 'no-such-variant',
  policy_version: 'meal-planner@99',
  metric: 'no_such_metric',
  from: '2099-01-01',
  to: '2001-01-01',
};
/** A guardrail that is broken or a decision that is due: counts that are zero on healthy data. */
const mayBeZero = ['broken', 'due'];

const tagsOf = (card: CardSpec | ModelSpec) => tagsIn(card, catalogue.dashboards);

async function runCard(
  pool: Query,
  card: CardSpec | ModelSpec,
  values: Values,
): Promise<{ rows: Row[]; names: string[] }> {
  const { sql, values: bound } = expandTemplate(readSql(card), tagsOf(card), values);
  const { rows, fields } = await pool.query<Row>(sql, [...bound]);
  return { rows, names: fields.map(({ name }) => name) };
}

/** Every subset of the filters that a card follows, with the values of `something`. */
function combinationsOf(card: CardSpec): Values[] {
  const names = tagsOf(card).map(({ name }) => name as FilterName);
  return Array.from({ length: 2 ** names.length }, (_, bits) =>
    Object.fromEntries(names.filter((_name, index) => bits & (1 << index)).map((name) => [name, something[name]])),
  );
}

const isEmpty = (card: CardSpec, rows: readonly Row[]): boolean =>
  card.chart.display === 'scalar'
    ? rows.every((row) => Object.values(row).every((value) => !Number(value)))
    : rows.length === 0;

/** Registers the tests; the data is there when they run. */
export function testCards(analyst: () => Pool): void {
  const cards = listCards(catalogue);

  describe('every card', () => {
    test.each(cards)('$key shows something, whichever filters are set', async (card) => {
      for (const values of combinationsOf(card)) {
        const { rows, names } = await runCard(analyst(), card, values);
        const label = JSON.stringify(values);
        expect(names, label).toEqual(expect.arrayContaining(columnsOfChart(card)));
        if (card.chart.display === 'table') expect(names, label).toEqual(columnsOfChart(card));
        if (names.some((name) => mayBeZero.includes(name))) expect(rows, label).toHaveLength(1);
        else expect(isEmpty(card, rows), label).toBe(false);
      }
    });

    test.each(cards.filter((card) => tagsOf(card).length > 0))(
      '$key shows nothing when a filter excludes all',
      async (card) => {
        for (const { name } of tagsOf(card)) {
          const { rows } = await runCard(analyst(), card, { [name]: nothing[name as FilterName] });
          expect(isEmpty(card, rows), name).toBe(true);
        }
      },
    );

    test('can be drawn: each category and series of its result is in the picture', async () => {
      for (const card of cards) {
        const { chart } = card;
        const { rows } = await runCard(analyst(), card, { experiment: 'planner-policy' });
        const drawn = drawCard(card, rows, { width: 900, height: 300 });
        const breakout = 'dimensions' in chart ? chart.dimensions[1] : undefined;
        const wanted = breakout === undefined ? [] : rows.map((row) => String(row[breakout]));
        for (const text of new Set(wanted)) expect(drawn, `${card.key}: ${text}`).toContain(text);
        if (chart.display === 'line' || chart.display === 'bar')
          expect(drawn.match(/<path/g)!.length).toBeGreaterThan(2);
        expect(drawn, card.key).not.toMatch(/NaN|undefined/);
      }
    });

    test('shows the same in every time zone of the session', async () => {
      const client = await analyst().connect();
      try {
        for (const card of cards) {
          const values = { from: '2026-01-08', to: '2026-01-10' };
          const shown: unknown[] = [];
          for (const zone of ['UTC', 'Pacific/Kiritimati']) {
            await client.query(`SET TimeZone = '${zone}'`);
            const { rows } = await runCard(client, card, values);
            // Times are compared as what they are: the driver gives them as text in the zone of the session.
            shown.push(
              rows.map((row) => Object.values(row).map((value) => (value instanceof Date ? value.getTime() : value))),
            );
          }
          expect(shown[1], card.key).toEqual(shown[0]);
        }
      } finally {
        client.release(true);
      }
    });

    test('counts the last chosen day and not the one after it', async () => {
      const card = cards.find(({ key }) => key === 'variant-performance/metric-by-day')!;
      const { rows } = await runCard(analyst(), card, {
        experiment: 'planner-policy',
        from: '2026-01-08',
        to: '2026-01-09',
      });
      expect([...new Set(rows.map(({ day }) => day))]).toEqual(['2026-01-08', '2026-01-09']);
    });

    test('needs types that Postgres does not guess: a text is no uuid and no time', async () => {
      const run = (sql: string, type: 'text' | 'date', value: string) => {
        const expanded = expandTemplate(sql, [{ name: 'x', type }], { x: value });
        return analyst().query(expanded.sql, [...expanded.values]);
      };
      await expect(run('SELECT 1 FROM exp.variants WHERE id = {{x}}', 'text', 'a')).rejects.toThrow(
        'uuid = character varying',
      );
      await expect(run('SELECT 1 FROM exp.events WHERE event_time >= {{x}}', 'text', '2026-01-05')).rejects.toThrow(
        'timestamp with time zone >= character varying',
      );
      await run('SELECT 1 FROM exp.events WHERE event_time >= {{x}}', 'date', '2026-01-05');
    });
  });

  describe('every model', () => {
    test.each(catalogue.models)(
      '$name has rows, and the columns that are described, with those types',
      async (model) => {
        const { sql } = expandTemplate(readSql(model), [], {});
        const { rows, fields } = await analyst().query<Row>(`SELECT * FROM (${sql}) m LIMIT 1`);
        expect(rows).toHaveLength(1);
        expect(fields.map(({ name }) => name)).toEqual(model.columns.map(({ name }) => name));
        const types = await analyst().query<{ oid: number; name: string }>(
          'SELECT oid::integer AS oid, typname AS name FROM pg_type WHERE oid = ANY ($1::oid[])',
          [fields.map(({ dataTypeID }) => dataTypeID)],
        );
        const kinds: Readonly<Record<string, string>> = {
          text: 'Text',
          int4: 'Integer',
          int8: 'BigInteger',
          float8: 'Float',
          date: 'Date',
          timestamptz: 'DateTimeWithLocalTZ',
          bool: 'Boolean',
          uuid: 'UUID',
          jsonb: 'JSON',
        };
        const found = fields.map(({ dataTypeID }) => kinds[types.rows.find(({ oid }) => oid === dataTypeID)!.name]);
        expect(found).toEqual(model.columns.map(({ type }) => type));
      },
    );
  });
}
