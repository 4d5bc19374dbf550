// The promises under fire, on a stack of its own: seeded chaos, long outages, overload, and code broken on purpose that must be noticed.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runAimedScenario } from './aimed-scenario.ts';
import { changeText, codeChanges, copyWithChange } from './changed-code.ts';
import { type ChaosStack, startChaosStack } from './chaos-stack.ts';
import { momentNames } from './moments.ts';
import { checkKafkaAway, checkStoresAway } from './outages.ts';
import { checkOverload } from './overload.ts';
import { runSeed } from './seed-run.ts';

/** `npm run chaos` runs as many as asked for. */
const seeds = [1, 2];

let chaos: ChaosStack;
let evidenceDir: string;

beforeAll(async () => {
  evidenceDir = await mkdtemp(join(tmpdir(), 'trialstream-chaos-'));
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
    { change: codeChanges.noClaims, fault: 'death after a commit', sign: /differs from a recount/ },
    { change: codeChanges.lettersAfterCommit, fault: 'death after a commit', sign: /wrong dead letters/ },
  ] as const;
  test.each(cases)('$change.name', async ({ change, fault, sign }) => {
    const copy = await copyWithChange(change);
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

describe('seeded chaos', () => {
  const struck = new Set<string>();

  test.each(seeds)('seed %d loses, invents and repeats nothing', async (seed) => {
    const result = await runSeed(seed, chaos, { evidenceDir });
    for (const name of result.hits.keys()) struck.add(name);
    console.log(
      `seed ${seed}: ${result.seconds.toFixed(0)} s, ${result.records} records, ${result.faults} faults, ${JSON.stringify(result.counts)}`,
    );
    expect(result.problems, `evidence: ${result.evidence}`).toEqual([]);
  });

  test('has struck at every moment', async () => {
    expect(momentNames.filter((name) => !struck.has(name))).toEqual([]);
    // Nothing failed, so there is no evidence to keep.
    await rm(evidenceDir, { recursive: true, force: true });
  });
});
