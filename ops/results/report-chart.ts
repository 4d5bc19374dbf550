// Charts of the report as inline SVG: an interval on an axis, and a line with its band over days; text only, no scripts.
import type { Interval } from '#domain/statistics/hypothesis.ts';

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const round = (value: number): string => String(Math.round(value * 100) / 100);

/** Round numbers that divide a span into about `count` parts. */
export function ticksOf(low: number, high: number, count: number): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) => (first + index) * step);
}

/** The half width of an axis around zero that shows most intervals; a few very wide ones run over its ends. */
export function axisLimit(intervals: readonly Interval[]): number {
  const reaches = intervals
    .map(({ lower, upper }) => Math.max(...[lower, upper].filter(Number.isFinite).map(Math.abs), 0))
    .filter((reach) => reach > 0)
    .sort((a, b) => a - b);
  if (reaches.length === 0) return 1;
  const median = reaches[Math.floor((reaches.length - 1) / 2)]!;
  return 1.1 * Math.min(reaches.at(-1)!, 4 * median);
}

export type IntervalPlot = {
  readonly interval: Interval;
  readonly estimate: number;
  readonly limit: number;
  readonly verdict: string;
  /** The accepted harm of a guardrail, with its sign. */
  readonly bound?: number;
  readonly label: string;
};

const plot = { width: 240, height: 30, middle: 15 };

/** An estimate with its interval around zero; an end beyond the axis is an arrow. */
export function drawInterval({ interval, estimate, limit, verdict, bound, label }: IntervalPlot): string {
  const x = (value: number): number => {
    const clipped = Math.max(-limit, Math.min(limit, value));
    return plot.width / 2 + (clipped / limit) * (plot.width / 2 - 8);
  };
  const [from, to] = [x(interval.lower), x(interval.upper)];
  const arrow = (at: number, direction: 1 | -1): string =>
    `<path class="whisker ${verdict}" d="M${round(at - 5 * direction)} ${plot.middle - 4} L${round(at)} ${plot.middle} L${round(at - 5 * direction)} ${plot.middle + 4}"/>`;
  const parts = [
    `<line class="zero" x1="${x(0)}" x2="${x(0)}" y1="0" y2="${plot.height}"/>`,
    ...(bound === undefined || bound === 0
      ? []
      : [`<line class="bound" x1="${round(x(bound))}" x2="${round(x(bound))}" y1="0" y2="${plot.height}"/>`]),
    `<line class="whisker ${verdict}" x1="${round(from)}" x2="${round(to)}" y1="${plot.middle}" y2="${plot.middle}"/>`,
    ...(interval.lower < -limit ? [arrow(from, -1)] : []),
    ...(interval.upper > limit ? [arrow(to, 1)] : []),
    ...(Math.abs(estimate) > limit
      ? []
      : [`<circle class="estimate ${verdict}" cx="${round(x(estimate))}" cy="${plot.middle}" r="4.5"/>`]),
  ];
  return `<svg class="interval" viewBox="0 0 ${plot.width} ${plot.height}" role="img" aria-label="${escapeHtml(label)}">${parts.join('')}</svg>`;
}

/** The axis under a column of interval plots of the same limit. */
export function drawIntervalAxis(limit: number, format: (value: number) => string): string {
  const x = (value: number): number => plot.width / 2 + (value / limit) * (plot.width / 2 - 8);
  const ticks = ticksOf(-limit, limit, 4).map(
    (tick) => `<text class="tick" text-anchor="middle" x="${round(x(tick))}" y="11">${escapeHtml(format(tick))}</text>`,
  );
  return `<svg class="interval" viewBox="0 0 ${plot.width} 14" aria-hidden="true">${ticks.join('')}</svg>`;
}

export type Series = {
  readonly name: string;
  readonly kind: 'main' | 'expected';
  readonly points: readonly { readonly day: string; readonly value: number; readonly band?: Interval }[];
};

export type LineChart = {
  readonly series: readonly Series[];
  readonly levels: readonly { readonly value: number; readonly kind: 'zero' | 'bound' }[];
  readonly format: (value: number) => string;
  readonly label: string;
  readonly height?: number;
};

const chart = { width: 640, left: 64, right: 36, top: 12, bottom: 26 };

/** Lines over days with bands where they have intervals. The first days, whose bands are wide, may run over the top and bottom. */
export function drawLines({ series, levels, format, label, height = 220 }: LineChart): string {
  const days = [...new Set(series.flatMap(({ points }) => points.map(({ day }) => day)))].sort();
  const [low, high] = valueRange(series, levels);
  const times = days.map((day) => Date.parse(`${day}T00:00:00Z`));
  const span = Math.max(1, times.at(-1)! - times[0]!);
  const x = (day: string): number =>
    days.length === 1
      ? (chart.left + chart.width - chart.right) / 2
      : chart.left + ((Date.parse(`${day}T00:00:00Z`) - times[0]!) / span) * (chart.width - chart.left - chart.right);
  const y = (value: number): number => {
    const share = (Math.max(low, Math.min(high, value)) - low) / (high - low);
    return height - chart.bottom - share * (height - chart.top - chart.bottom);
  };
  const grid = ticksOf(low, high, 5).map(
    (tick) =>
      `<line class="grid" x1="${chart.left}" x2="${chart.width - chart.right}" y1="${round(y(tick))}" y2="${round(y(tick))}"/><text class="tick" text-anchor="end" x="${chart.left - 6}" y="${round(y(tick) + 4)}">${escapeHtml(format(tick))}</text>`,
  );
  const dates = spread(days, 6).map(
    (day) => `<text class="tick" text-anchor="middle" x="${round(x(day))}" y="${height - 8}">${day}</text>`,
  );
  const lines = levels
    .filter(({ value }) => value >= low && value <= high)
    .map(
      ({ value, kind }) =>
        `<line class="${kind}" x1="${chart.left}" x2="${chart.width - chart.right}" y1="${round(y(value))}" y2="${round(y(value))}"/>`,
    );
  const drawn = series.map(({ kind, points }) => {
    const path = points.map(({ day, value }, index) => `${index === 0 ? 'M' : 'L'}${round(x(day))} ${round(y(value))}`);
    const banded = points.filter(({ band }) => band !== undefined);
    const edge = (side: 'lower' | 'upper'): string[] =>
      banded.map(({ day, band }) => `${round(x(day))} ${round(y(band![side]))}`);
    const area =
      banded.length < 2
        ? ''
        : `<path class="band" d="M${edge('upper').join(' L')} L${edge('lower').reverse().join(' L')} Z"/>`;
    const single = points.length === 1 ? drawSingle(points[0]!, x, y) : '';
    return `${area}<path class="line ${kind}" d="${path.join(' ')}"/>${single}`;
  });
  return `<svg class="chart" viewBox="0 0 ${chart.width} ${height}" role="img" aria-label="${escapeHtml(label)}">${[...grid, ...lines, ...drawn, ...dates].join('')}</svg>`;
}

function drawSingle(
  { day, value, band }: Series['points'][number],
  x: (day: string) => number,
  y: (value: number) => number,
): string {
  const whisker =
    band === undefined
      ? ''
      : `<line class="line main" x1="${round(x(day))}" x2="${round(x(day))}" y1="${round(y(band.lower))}" y2="${round(y(band.upper))}"/>`;
  return `${whisker}<circle class="dot" cx="${round(x(day))}" cy="${round(y(value))}" r="4"/>`;
}

/** All values, and the bands but for the few widest. */
function valueRange(series: readonly Series[], levels: LineChart['levels']): [number, number] {
  const values = series.flatMap(({ points }) => points.map(({ value }) => value));
  const bands = series.flatMap(({ points }) => points.flatMap(({ band }) => (band === undefined ? [] : [band])));
  const widths = bands
    .map(({ lower, upper }) => upper - lower)
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  const widest = 3 * (widths[Math.floor(widths.length / 2)] ?? 0);
  const shown = bands
    .filter(({ lower, upper }) => upper - lower <= widest)
    .flatMap(({ lower, upper }) => [lower, upper]);
  const all = [...values, ...shown, ...levels.filter(({ kind }) => kind === 'zero').map(({ value }) => value)];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const margin = high > low ? 0.08 * (high - low) : Math.max(Math.abs(high) * 0.1, 1e-9);
  return [low - margin, high + margin];
}

/** At most `count` of the items, evenly, the last one among them. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  const step = (items.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, index) => items[Math.round(index * step)]!);
}
