// The definitions of the dashboards are whole: every filter works, every row fills the grid; and what is wrong is found.
import { describe, expect, it } from 'vitest';
import { type Catalogue, catalogue, layOut, listCards, readSql } from './catalogue.ts';
import { entityIdOf } from './fixed-ids.ts';
import { findProblems } from './lint.ts';
import type { DashboardSpec } from './spec.ts';

describe('the catalogue', () => {
  it('has nothing wrong', () => {
    expect(findProblems(catalogue)).toEqual([]);
  });

  it('has the three models and the five dashboards by their names', () => {
    expect(catalogue.models.map(({ name }) => name)).toEqual([
      'Events',
      'Metric aggregates',
      'Events by policy version',
    ]);
    expect(catalogue.dashboards.map(({ name }) => name)).toEqual([
      'Experiment Overview',
      'Variant Performance Comparison',
      'Offline vs Online Evaluation Trends',
      'Model Quality Over Time',
      'Latency & Cost Analyses',
    ]);
  });

  it.each(catalogue.dashboards)('$name filters by experiment, variant, policy version and days', ({ filters }) => {
    expect(filters.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['experiment', 'variant', 'policy_version', 'from', 'to']),
    );
  });

  it('has ids that do not change: another id would be another card in every Metabase', () => {
    expect(entityIdOf('dashboard/experiment-overview')).toBe('Ksd6jgxHgVKMb8w8PffTf');
    expect(entityIdOf('model/events')).toBe('TI94CeNcUTIukvtqJPuaO');
    for (const { key } of [...catalogue.models, ...listCards(catalogue)])
      expect(entityIdOf(key)).toMatch(/^[A-Za-z0-9]{21}$/);
  });

  it('puts cards side by side below the introduction, without a gap or an overlap', () => {
    for (const dashboard of catalogue.dashboards) {
      const { introduction, cards } = layOut(dashboard);
      const covered = new Set<string>();
      for (const { row, col, sizeX, sizeY } of [introduction, ...cards])
        for (let y = row; y < row + sizeY; y += 1)
          for (let x = col; x < col + sizeX; x += 1) {
            expect(covered.has(`${x},${y}`), `${dashboard.name}: ${x},${y}`).toBe(false);
            covered.add(`${x},${y}`);
          }
      const bottom = Math.max(...cards.map(({ row, sizeY }) => row + sizeY));
      expect(covered.size).toBe(24 * bottom);
    }
  });
});

describe('the search for problems', () => {
  const [overview] = catalogue.dashboards as [DashboardSpec];
  const withDashboard = (changed: DashboardSpec): Catalogue => ({ ...catalogue, dashboards: [changed] });
  const [first, ...rest] = overview.rows;
  const cardOf = (sql: string): DashboardSpec => ({
    ...overview,
    rows: [
      ...overview.rows,
      { height: 3, cards: [{ width: 24, card: { ...first!.cards[0]!.card, key: 'one', sql } }] },
    ],
  });

  it('finds a filter that a card does not follow, and one that is not there', () => {
    expect(findProblems(withDashboard(cardOf('filters/experiments')))).toContain(
      'dashboard/experiment-overview: one does not follow the filter variant',
    );
    expect(findProblems(withDashboard(cardOf('variant-performance/metric-by-day')))).toContain(
      'one: {{metric}} is no filter of its dashboard (experiment, variant, policy_version, from, to)',
    );
  });

  it('finds a row that does not fill the grid, and a card that is defined twice', () => {
    const narrow = { ...first!, cards: first!.cards.slice(1) };
    expect(findProblems(withDashboard({ ...overview, rows: [narrow, ...rest] }))).toContain(
      'dashboard/experiment-overview: row 1 is 18 of 24 columns wide',
    );
    expect(findProblems(withDashboard({ ...overview, rows: [...overview.rows, first!] }))).toContain(
      'experiment-overview/experiments: is defined twice',
    );
  });

  it('refuses a constant that nobody gave', () => {
    const [card] = listCards(catalogue).filter(({ constants }) => constants !== undefined);
    expect(() => readSql({ ...card!, constants: {} })).toThrow(`${card!.key}: the query needs the constant`);
  });
});
