// Tests that a replay imports every assignment before the first event, and that a second one adds nothing.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFakeWorkloadPort } from '../workload-client/fake-workload-port.ts';
import { countOpenBandit } from './count-open-bandit.ts';
import { planOpenBandit, runOpenBandit } from './run-open-bandit.ts';

const rows = 3000;
let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'open-bandit-'));
  file = join(folder, 'open-bandit-slice.csv');
  const whole = gunzipSync(readFileSync(join(import.meta.dirname, '../../data/open-bandit-men.csv.gz'))).toString();
  writeFileSync(
    file,
    whole
      .split('\n')
      .slice(0, rows + 1)
      .join('\n'),
  );
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('replays a slice of the committed file once, assignments first, and again without effect', async () => {
  const plan = await planOpenBandit(file);
  expect(plan.experimentKey).toBe('open-bandit-slice');
  const port = createFakeWorkloadPort();
  const delivery = { batchSize: 1000, batchesInFlight: 2 };
  const total = rows;
  const progress: string[] = [];
  const first = await runOpenBandit(plan, port, {
    delivery,
    onProgress: ({ step, done, total: of }) => progress.push(`${step} ${done}/${of}`),
  });
  expect(first).toEqual({
    assignments: { imported: total, alreadyThere: 0 },
    events: { sent: total, accepted: total, rejected: 0, rejections: [] },
  });
  expect(port.actions).toEqual([
    ...Array.from({ length: total / 1000 }, () => 'imported 1000'),
    ...Array.from({ length: total / 1000 }, () => 'sent 1000'),
  ]);
  expect(progress.at(-1)).toBe(`events ${total}/${total}`);

  const second = await runOpenBandit(plan, port, { delivery });
  expect(second.assignments).toEqual({ imported: 0, alreadyThere: total });
  expect(second.events.rejected).toBe(0);
  expect(port.events.size).toBe(total);

  const counted = await countOpenBandit(file);
  const clicks = [...port.events.values()].reduce((sum, event) => sum + (event.metrics.click ?? 0), 0);
  expect(clicks).toBe(counted.byPolicy.reduce((sum, row) => sum + row.clicks, 0));
  for (const event of port.events.values()) {
    expect(port.assignments.get(event.unit_id)?.variant_id).toBe(event.experiments[0]?.variant_id);
  }
});
