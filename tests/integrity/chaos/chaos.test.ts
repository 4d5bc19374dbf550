// The promises under fire, on a stack of its own: seeded chaos, long outages, overload, and code broken on purpose that must be noticed.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultLocalDir } from '#infra/local/local-dir.ts';
import { changeText, copyWithChanges } from '#tests/support/code-copy.ts';
import { runAimedScenario } from './aimed-scenario.ts';
import { codeChanges } from './changed-code.ts';
import { type ChaosStack, startChaosStack } from './chaos-stack.ts';
import { checkKafkaAway, checkStoresAway } from './outages.ts';
import { checkOverload } from './overload.ts';
import { describeSeed, runSeeds } from './run-seeds.ts';

/** `npm run chaos` runs as many as asked for. */
const seeds = { first: 1, count: 2 };

/** What a failed seed leaves behind stays until the next run. */
const evidenceDir = join(defaultLocalDir(), 'chaos');
let chaos: ChaosStack;

beforeAll(async () => {
  await rm(evidenceDir, { recursive: true, force: true });
  chaos = await startChaosStack();
});
afterAll(async () => {
  await chaos?.stop();
});

describe.concurrent('while a dependency is away or too slow', () => {
  test('Kafka, for a minute: nothing acknowledged is lost, and the service is ready again without a restart', () =>
    checkKafkaAway(chaos, chaos.doors.slice(0, 2)));

  test('S3 and Postgres, for a minute: who needs them waits and catches up, the others do not notice', () =>
    checkStoresAway(chaos, chaos.doors.slice(2, 7)));

  test('ten times too many events: the service sheds load, holds its memory bound and keeps what it acknowledged', () =>
    checkOverload(chaos, chaos.doors.slice(7, 8)));
});

describe('the suite notices broken code', () => {
  test('and finds nothing wrong with the code as it is', async () => {
    const faults = ['death after a commit', 'replaced in mid-flush'] as const;
    expect(await runAimedScenario(chaos, { faults })).toEqual([]);
  });

  const cases = [
    { change: codeChanges.noFence, fault: 'replaced in mid-flush', sign: /went back from/ },
    { change: codeChanges.offsetBeforeEffects, fault: 'death after a commit', sign: /exp\.events: \d+ missing/ },
    // Whether a repetition falls into another flush, and so is counted twice, is a matter of speed; that it was not claimed is not.
    { change: codeChanges.noClaims, fault: 'death after a commit', sign: /claims of the aggregator: \d+ missing/ },
    { change: codeChanges.lettersAfterCommit, fault: 'death after a commit', sign: /wrong dead letters/ },
  ] as const;
  test.each(cases)('$change.name', async ({ change, fault, sign }) => {
    const copy = await copyWithChanges([change]);
    try {
      const problems = await runAimedScenario(chaos, { faults: [fault], codeRoot: copy.root });
      expect(problems.join('\n')).toMatch(sign);
    } finally {
      await copy.remove();
    }
  });

  test('a change whose text is gone, or there twice, is not applied', () => {
    const change = { ...codeChanges.noFence, text: 'twice' };
    expect(() => changeText('once', change)).toThrow('0 places');
    expect(() => changeText('twice and twice', change)).toThrow('2 places');
  });
});

test('seeded chaos: nothing is lost, invented or counted twice, and every moment was struck', async () => {
  const printed: string[] = [];
  const result = await runSeeds(chaos, {
    ...seeds,
    evidenceDir,
    say: (text) => {
      printed.push(text);
      console.log(text);
    },
  });
  expect(printed.filter((line) => line.startsWith('seed '))).toHaveLength(seeds.count);
  expect(printed.at(-1)).toBe(`\n${seeds.count} passed, 0 failed`);
  expect(result).toEqual({ passed: seeds.count, failed: 0 });
}, 900_000);

test('a failed seed says what is wrong and where its evidence is', () => {
  const line = describeSeed({
    seed: 7,
    problems: ['exp.events: 2 missing: a, b'],
    seconds: 61.4,
    counts: { acknowledged: 5, unknown: 2, rejected: 1 },
    records: 9,
    faults: 3,
    hits: new Map(),
    evidence: 'chaos/seed-7',
  });
  expect(line.split('\n')).toEqual([
    'seed 7 FAILED in 61 s: 5 acknowledged, 2 unknown, 1 rejected; 9 records, 3 faults',
    '  exp.events: 2 missing: a, b',
    '  logs, ledger and timeline: chaos/seed-7',
  ]);
});
