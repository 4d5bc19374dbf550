// Tests of the workload on the committed file and on small files: ids, events, assignments, and agreement with the direct count.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { experimentIdOf, variantIdOf } from '#domain/assignment/deterministic-ids.ts';
import { findEventProblem } from '#domain/event/parse-event.ts';
import { asExperimentKey } from '#domain/experiment/ids.ts';
import { countOpenBandit } from './count-open-bandit.ts';
import { readImpressions, scanOpenBandit } from './open-bandit-file.ts';
import { createImpressionMapping, listVariantNames, toBasisPoints, toExperimentDefinition } from './to-events.ts';

const menFile = join(import.meta.dirname, '../../data/open-bandit-men.csv.gz');
const header = 'policy,timestamp,item_id,position,click,propensity_score,user_feature_0';

let folder: string;
let men: Awaited<ReturnType<typeof mapFile>>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'open-bandit-'));
  men = await mapFile(menFile);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function mapFile(path: string) {
  const { contentSha256 } = await scanOpenBandit(path);
  const mapping = createImpressionMapping({ experimentKey: 'men', contentSha256 });
  const impressions = await Array.fromAsync(readImpressions(path));
  return { events: impressions.map(mapping.toEvent), assignments: impressions.map(mapping.toAssignment) };
}

describe('the committed file', () => {
  test('gives the events and clicks of the direct count, per policy and per UTC hour', async () => {
    const { events } = men;
    const counted = await countOpenBandit(menFile);
    const experimentId = experimentIdOf(asExperimentKey('men'), 1);
    const policyOf = new Map<string, string>(
      counted.byPolicy.map(({ policy }) => [variantIdOf(experimentId, policy), policy] as const),
    );
    const groups = Map.groupBy(
      events,
      (event) => `${policyOf.get(event.experiments[0]!.variant_id)} ${event.timestamp.slice(0, 13)}:00:00.000Z`,
    );
    const fromEvents = [...groups].map(([group, members]) => [
      group,
      members.length,
      members.reduce((sum, event) => sum + event.metrics.click!, 0),
    ]);
    const direct = counted.byHour.map((row) => [`${row.policy} ${row.hourStart}`, row.events, row.clicks]);
    expect(fromEvents.sort()).toEqual(direct.sort());
    expect(counted.byPolicy.reduce((sum, row) => sum + row.events, 0)).toBe(events.length);
  });

  test('gives events that the rules of events accept, with distinct ids, and one assignment for each unit', () => {
    const { events, assignments } = men;
    const bounds = { earliestMs: Date.UTC(2015, 0, 1), latestMs: Date.UTC(2030, 0, 1) };
    const problems = events.flatMap((event) => {
      const record = {
        ...event,
        experiments: [...event.experiments],
        payload: null,
        event_time: Date.parse(event.timestamp),
        ingest_time: 0,
        producer: 'open-bandit',
      };
      return findEventProblem(record, bounds) ?? [];
    });
    expect(problems).toEqual([]);
    expect(new Set(events.map((event) => event.event_id)).size).toBe(events.length);
    expect(new Set(assignments.map(({ unit_id }) => unit_id))).toEqual(new Set(events.map(({ unit_id }) => unit_id)));
    expect(assignments.map(({ variant_id }) => variant_id)).toEqual(
      events.map((event) => event.experiments[0]?.variant_id),
    );
  });

  test('makes random the control', async () => {
    const definition = toExperimentDefinition('open-bandit-men', await scanOpenBandit(menFile));
    expect(definition.variants.map(({ name, is_control }) => [name, is_control])).toEqual([
      ['random', true],
      ['bts', false],
    ]);
  });
});

describe('any file of the format', () => {
  test('keeps its ids when it is packed, unpacked or renamed, and changes them with its content', async () => {
    const csv = gunzipSync(readFileSync(menFile)).toString().split('\n').slice(0, 20).join('\n');
    const packed = await mapFile(write('packed-without-ending', gzipSync(csv)));
    expect(await mapFile(write('plain.csv', csv))).toEqual(packed);
    const changed = await mapFile(write('changed.csv', csv.replace('bts', 'btz')));
    const before = new Set(packed.events.map((event) => event.event_id));
    expect(changed.events.filter((event) => before.has(event.event_id))).toEqual([]);
  });

  test('may have other policies, items and dates; the observed shares become the allocations', async () => {
    const rows = ['zeta', 'alpha', 'alpha'].map((policy, i) => `${policy},2021-05-0${i + 1} 10:00:00+02:00,77,9,1,1,f`);
    const path = write('other.csv', [header, ...rows, ''].join('\n'));
    const scan = await scanOpenBandit(path);
    expect(listVariantNames(scan)).toEqual(['alpha', 'zeta']);
    const definition = toExperimentDefinition('other', scan);
    expect(definition.variants.map(({ allocation }) => allocation)).toEqual([0.6667, 0.3333]);
    const counted = await countOpenBandit(path);
    expect(counted.byPolicy).toEqual([
      { policy: 'alpha', events: 2, clicks: 2, mean: 1 },
      { policy: 'zeta', events: 1, clicks: 1, mean: 1 },
    ]);
    const hours = (await mapFile(path)).events.map((event) => `${event.timestamp.slice(0, 13)}:00:00.000Z`);
    expect(counted.byHour.map((row) => row.hourStart).sort()).toEqual(hours.sort());
  });

  test('fails with a clear error where it is cut off, missing or broken', async () => {
    const whole = gzipSync(
      readFileSync(write('whole.csv', `${header}\n${'bts,2019-11-24T00:00:00Z,1,1,0,0.5,f\n'.repeat(50)}`)),
    );
    const cut = write('cut.csv.gz', whole.subarray(0, whole.length - 12));
    await expect(scanOpenBandit(cut)).rejects.toThrow(/^cut\.csv\.gz:\d+: cannot be read further/);
    await expect(scanOpenBandit(join(folder, 'missing.csv'))).rejects.toThrow('ENOENT');
    await expect(scanOpenBandit(write('empty.csv', ''))).rejects.toThrow('empty.csv:1: the file is empty');
  });
});

test('shares in basis points sum to 10,000', () => {
  expect(toBasisPoints([1, 1, 1])).toEqual([3334, 3333, 3333]);
  expect(toBasisPoints([10_000, 10_000])).toEqual([5000, 5000]);
});
