// `npm run metabase:pictures`: docs/images/dashboard-*.png from the cards and queries of the dashboards, on the data of both workloads.
// Needs the local stack ("npm run up"); makes a database and topics of its own there and removes them again.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { catalogue, listCards, readSql } from '#analytics/metabase/catalogue.ts';
import { tagsOf } from '#analytics/metabase/metabase-form.ts';
import type { CardSpec } from '#analytics/metabase/spec.ts';
import { startChromium } from '#tests/support/chromium.ts';
import { expandTemplate } from '#tests/support/metabase/expand-template.ts';
import { startWithWorkloadData } from '#tests/support/workload-data.ts';
import { findStack } from '../local/stack-file.ts';
import type { ResultRow } from './draw-card.ts';
import { drawDashboard, pageWidth } from './draw-dashboard.ts';

const folder = join(import.meta.dirname, '..', '..', 'docs', 'images');

const stack = findStack();
if (stack === null) throw new Error('no local stack runs here: "npm run up" starts one');
const run = await startWithWorkloadData(stack.endpoints);
try {
  const analyst = run.database.poolAs('analyst');
  const results = new Map<CardSpec, ResultRow[]>();
  for (const card of listCards(catalogue)) {
    const { sql, values } = expandTemplate(readSql(card), tagsOf(card, catalogue.dashboards), {});
    results.set(card, (await analyst.query<ResultRow>(sql, [...values])).rows);
  }
  mkdirSync(folder, { recursive: true });
  await using chromium = await startChromium();
  for (const dashboard of catalogue.dashboards) {
    const { html, height } = drawDashboard(dashboard, (card) => results.get(card)!);
    const page = await chromium.open(`data:text/html;base64,${Buffer.from(html).toString('base64')}`);
    const path = join(folder, `${dashboard.key.replace('/', '-')}.png`);
    writeFileSync(path, await page.captureImage({ width: pageWidth, height }));
    await page.close();
    process.stdout.write(`wrote ${path}\n`);
  }
} finally {
  await run.stop();
}
