// Draws the result of a card as its settings say: charts with ECharts as SVG, tables and numbers as HTML. For the pictures of the
// documents; Metabase draws with the same library, in its own look.
import * as echarts from 'echarts';
import type { CardSpec, Chart, ColumnFormat } from '#analytics/metabase/spec.ts';
import { escapeHtml } from '#ops/results/report-chart.ts';

export type ResultRow = Readonly<Record<string, unknown>>;
type Size = { readonly width: number; readonly height: number };

const colors = ['#509ee3', '#f2a86f', '#88bf4d', '#a989c5', '#ef8c8c', '#f9d45c', '#98d9d9', '#7172ad'];

export function formatValue(value: unknown, format?: ColumnFormat): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Date) return value.toISOString().slice(0, 16).replace('T', ' ');
  if (typeof value === 'bigint') return value.toLocaleString('en-US');
  if (typeof value !== 'number') return String(value);
  if (format === 'percent' || format === 'signed-percent') return `${(100 * value).toFixed(1)}%`;
  if (format === 'usd') return `$${value.toFixed(4)}`;
  if (format === 'ms') return `${Math.round(value).toLocaleString('en-US')} ms`;
  return format === 'score' ? value.toFixed(4) : value.toLocaleString('en-US', { maximumFractionDigits: 4 });
}

const numberOf = (value: unknown): number | null => (value === null || value === undefined ? null : Number(value));
/** An axis category: rounded where it is a number. */
const categoryOf = (value: unknown): string =>
  typeof value === 'number' ? String(Number(value.toPrecision(3))) : String(value);

type Series = { readonly name: string; readonly values: readonly (number | null)[] };

/** One series per metric, or per value of the second dimension; a point that a series lacks is empty, never zero. */
export function toSeries(
  chart: Extract<Chart, { axis: string }>,
  rows: readonly ResultRow[],
): { categories: string[]; series: Series[] } {
  const [dimension, breakout] = chart.dimensions;
  const categories = [...new Set(rows.map((row) => categoryOf(row[dimension])))];
  if (breakout === undefined) {
    const series = chart.metrics.map((metric) => ({ name: metric, values: rows.map((row) => numberOf(row[metric])) }));
    return { categories, series };
  }
  const names = [...new Set(rows.map((row) => String(row[breakout])))];
  const series = names.map((name) => ({
    name,
    values: categories.map((category) => {
      const row = rows.find((one) => categoryOf(one[dimension]) === category && String(one[breakout]) === name);
      return row === undefined ? null : numberOf(row[chart.metrics[0]]);
    }),
  }));
  return { categories, series };
}

function drawChart(chart: Extract<Chart, { axis: string }>, rows: readonly ResultRow[], size: Size): string {
  const { categories, series } = toSeries(chart, rows);
  const isRow = chart.display === 'row';
  const hasLegend = chart.dimensions.length + chart.metrics.length > 2;
  const categoryAxis = { type: 'category' as const, data: categories, axisTick: { show: false }, inverse: isRow };
  const valueAxis = {
    type: 'value' as const,
    name: chart.axis,
    nameLocation: 'middle' as const,
    nameGap: isRow ? 26 : 52,
    scale: chart.display === 'line',
    axisLabel: {
      formatter: (value: number) =>
        formatValue(value, chart.format)
          .replace(/(\.\d*?)0+(%?)$/, '$1$2')
          .replace(/\.(%?)$/, '$1'),
    },
    splitNumber: 4,
  };
  const drawing = echarts.init(null, null, { renderer: 'svg', ssr: true, ...size });
  drawing.setOption({
    animation: false,
    color: colors,
    textStyle: { fontFamily: 'sans-serif', fontSize: 11 },
    legend: {
      show: hasLegend,
      top: 0,
      left: 0,
      itemWidth: 12,
      itemHeight: 8,
      // Without a page ECharts guesses the width of texts, too small for some fonts.
      itemGap: 34,
      textStyle: { fontSize: 11 },
    },
    grid: { left: isRow ? 178 : 62, right: 24, top: hasLegend ? 44 : 14, bottom: isRow ? 34 : 24 },
    xAxis: isRow ? valueAxis : categoryAxis,
    yAxis: isRow ? categoryAxis : valueAxis,
    series: series.map(({ name, values }) => ({
      type: chart.display === 'line' || chart.display === 'area' ? ('line' as const) : ('bar' as const),
      name,
      data: [...values],
      ...(chart.isStacked === true ? { stack: 'all' } : {}),
      ...(chart.display === 'area' ? { areaStyle: {} } : {}),
      ...(name.endsWith(' promised') ? { lineStyle: { type: 'dashed' as const }, symbol: 'none' } : {}),
      ...(isRow
        ? {
            label: {
              show: true,
              position: 'right' as const,
              formatter: ({ value }: { value: unknown }) => formatValue(Number(value), chart.format),
            },
          }
        : {}),
    })),
  });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return svg;
}

function drawTable(
  { columns, formats = {} }: Extract<Chart, { display: 'table' }>,
  rows: readonly ResultRow[],
  maxRows: number,
): string {
  const isNumeric = (value: unknown): boolean => typeof value === 'number' || typeof value === 'bigint';
  const head = Object.entries(columns).map(([name, title]) => {
    const kind = rows.some((row) => isNumeric(row[name])) ? ' class="number"' : '';
    return `<th${kind}>${escapeHtml(title)}</th>`;
  });
  const body = rows.slice(0, maxRows).map((row) => {
    const cells = Object.keys(columns).map((name) => {
      const value = row[name];
      return `<td${isNumeric(value) ? ' class="number"' : ''}>${escapeHtml(formatValue(value, formats[name]))}</td>`;
    });
    return `<tr>${cells.join('')}</tr>`;
  });
  const more = rows.length > maxRows ? `<p class="more">and ${rows.length - maxRows} more rows</p>` : '';
  return `<table><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('')}</tbody></table>${more}`;
}

/** The card without its title; `size` is the room in pixels. */
export function drawCard({ chart }: CardSpec, rows: readonly ResultRow[], size: Size): string {
  if (rows.length === 0) return '<p class="more">No results</p>';
  if (chart.display === 'scalar') {
    const value = rows[0]![chart.field];
    return `<p class="scalar">${escapeHtml(formatValue(value, chart.format))}</p>`;
  }
  if (chart.display === 'table') return drawTable(chart, rows, Math.floor((size.height - 30) / 24));
  return drawChart(chart, rows, size);
}
