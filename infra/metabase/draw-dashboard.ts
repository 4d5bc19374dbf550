// A dashboard as one HTML page: title, filters, introduction, and its cards on the grid.
import { layOut } from '#analytics/metabase/catalogue.ts';
import type { CardSpec, DashboardSpec } from '#analytics/metabase/spec.ts';
import { escapeHtml } from '#ops/results/report-chart.ts';
import { drawCard, type ResultRow } from './draw-card.ts';

const column = 60;
const line = 46;
const gap = 8;
const headHeight = 96;
export const pageWidth = 24 * column + 2 * gap;

const style = `
  * { box-sizing: border-box; }
  body { margin: 0; background: #f9fbfc; color: #4c5773; font: 13px sans-serif; width: ${pageWidth}px; }
  h1 { margin: 0; padding: 16px 16px 8px; font-size: 20px; }
  .filter { display: inline-block; margin-left: 16px; padding: 6px 12px; border: 1px solid #dce1e4; border-radius: 6px; background: #fff; }
  .filter + .filter { margin-left: 8px; }
  .card { position: absolute; background: #fff; border: 1px solid #eeecec; border-radius: 8px; padding: 10px 12px; overflow: hidden; }
  h2 { margin: 0 0 6px; font-size: 14px; }
  .introduction { border: 0; background: none; font-size: 14px; }
  .scalar { margin: 12px 0 0; font-size: 34px; font-weight: bold; text-align: center; }
  table { border-collapse: collapse; width: 100%; font-size: 11px; }
  th { text-align: left; color: #509ee3; white-space: nowrap; }
  th, td { padding: 4px 6px; border-bottom: 1px solid #eeecec; white-space: nowrap; max-width: 260px; overflow: hidden; text-overflow: ellipsis; }
  th.number, td.number { text-align: right; }
  .more { color: #949aab; margin: 6px; }`;

const withBold = (text: string): string => escapeHtml(text).replaceAll(/\*\*(.+?)\*\*/g, '<b>$1</b>');

export type DrawnPage = { readonly html: string; readonly height: number };

export function drawDashboard(dashboard: DashboardSpec, rowsOf: (card: CardSpec) => readonly ResultRow[]): DrawnPage {
  const { introduction, cards } = layOut(dashboard);
  const box = ({ row, col, sizeX, sizeY }: typeof introduction) => ({
    left: gap + col * column,
    top: headHeight + row * line,
    width: sizeX * column - gap,
    height: sizeY * line - gap,
  });
  const place = ({ left, top, width, height }: ReturnType<typeof box>): string =>
    `left:${left}px;top:${top}px;width:${width}px;height:${height}px`;
  const drawn = cards.map((placed) => {
    const { card } = placed;
    const at = box(placed);
    const room = { width: at.width - 26, height: at.height - 48 };
    return `<section class="card" style="${place(at)}"><h2>${escapeHtml(card.name)}</h2>${drawCard(card, rowsOf(card), room)}</section>`;
  });
  const filters = dashboard.filters.map(
    ({ title, default: value }) =>
      `<span class="filter">${escapeHtml(title)}${value === undefined ? '' : `: <b>${escapeHtml(value)}</b>`}</span>`,
  );
  const bottom = Math.max(...cards.map(({ row, sizeY }) => row + sizeY));
  return {
    html: `<!doctype html><meta charset="utf-8"><style>${style}</style><h1>${escapeHtml(dashboard.name)}</h1>${filters.join('')}<section class="card introduction" style="${place(box(introduction))}">${withBold(dashboard.introduction)}</section>${drawn.join('')}`,
    height: headHeight + bottom * line + gap,
  };
}
