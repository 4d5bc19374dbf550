// One seed from an empty database to its verdict: start, send, break, heal, come to rest, check; what failed keeps its evidence.
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { createExperiment } from '#tests/support/service-client.ts';
import type { ChaosStack } from './chaos-stack.ts';
import { startAssignmentRequests, startDirectProducer } from './direct-traffic.ts';
import {
  disturb,
  freeze,
  isolateInFlush,
  killAndRevive,
  restartComponent,
  scale,
  strikeAt,
  strikeInRebalance,
  terminateAndRevive,
} from './faults.ts';
import { findViolations } from './invariants.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { recordOffsetMoves } from './offset-history.ts';
import { groups, planSeed, type SeedPlan, type Step } from './plan.ts';
import { type Station, type SystemUnderFire, startSystemUnderFire } from './system-under-fire.ts';
import { startTraffic } from './traffic.ts';

export type SeedResult = {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly seconds: number;
  readonly counts: { readonly acknowledged: number; readonly unknown: number; readonly rejected: number };
  readonly records: number;
  readonly faults: number;
  readonly hits: ReadonlyMap<string, number>;
  /** Where logs, ledger and timeline of a failed seed are. */
  readonly evidence: string | null;
};

const experimentKey = 'under-fire';
const settleStallMs = 45_000;

/** Short waits, so that a seed has many flushes and many takeovers. */
function settingsOf(client: string, name: string): Readonly<Record<string, string>> {
  if (name === 'assignment-service') return {};
  if (name === 'ingestion-service') return { DELIVERY_TIMEOUT_MS: '5000' };
  return { KAFKA_CLIENT: client, KAFKA_SESSION_TIMEOUT_MS: '6000', FLUSH_MAX_AGE_MS: '100', FLUSH_MAX_RECORDS: '200' };
}

async function carryOut(step: Step, system: SystemUnderFire, { stack }: ChaosStack): Promise<string | undefined> {
  const pickOf = (group: Parameters<typeof system.of>[0], pick: number): Station => {
    const alive = system.of(group).filter(({ process }) => process.pid !== undefined);
    const from = alive.length > 0 ? alive : system.of(group);
    return from[Math.floor(pick * from.length)]!;
  };
  switch (step.kind) {
    case 'wait':
      return void (await sleep(step.ms));
    case 'aim': {
      const stations = system.of(step.group);
      const struck = await (step.moment === 'midRebalance'
        ? strikeInRebalance(stations, step.action, step)
        : strikeAt(stations, step.moment, step.action, step));
      return `${step.action} ${step.moment} ${struck?.name ?? `${step.group}: the moment did not come`}`;
    }
    case 'kill':
    case 'terminate': {
      const station = pickOf(step.group, step.pick);
      await (step.kind === 'kill' ? killAndRevive : terminateAndRevive)(station, step.downMs);
      return `${step.kind} ${station.name}`;
    }
    case 'freeze': {
      const station = pickOf(step.group, step.pick);
      await freeze(station, step.ms);
      return `freeze ${station.name} for ${step.ms} ms`;
    }
    case 'isolate': {
      const station = pickOf(step.group, step.pick);
      const isReplaced = await isolateInFlush(system, station);
      return `isolate ${station.name}: ${isReplaced ? 'replaced in mid-flush' : 'not replaced in time'}`;
    }
    case 'scale':
      await scale(system, step.group, step.members);
      return `scale ${step.group} to ${step.members}`;
    case 'disturb':
      await disturb(
        step.group === 'everyone' ? system.stations : system.of(step.group),
        step.dependency,
        step.state,
        step.ms,
      );
      return `${step.dependency} ${step.state.kind} for ${step.group}, ${step.ms} ms`;
    case 'restart':
      await restartComponent(stack.components[step.component], step.signal, step.downMs);
      return `restart ${step.component} by ${step.signal}`;
  }
}

/** All links open, all components and all members up that should be. */
async function heal(system: SystemUnderFire, plan: SeedPlan): Promise<void> {
  system.openLinks();
  await Promise.all(
    system.stations
      // The scaled group ends with two of its three members.
      .filter(({ group, name }) => !(plan.startAtFirst[group] !== undefined && name.endsWith('-3')))
      .map((station) => station.revive()),
  );
}

async function keepEvidence(folder: string, system: SystemUnderFire, ledger: Ledger, text: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'timeline.txt'), text);
  await writeFile(join(folder, 'ledger.json'), JSON.stringify(ledger.entries(), null, 1));
  await cp(dirname(system.stations[0]!.process.logPath), join(folder, 'logs'), { recursive: true });
  return folder;
}

/** Runs the seed on the stack. Throws only when the test itself cannot go on, such as a component that does not come back. */
export async function runSeed(
  seed: number,
  chaos: ChaosStack,
  options: { evidenceDir: string; codeRoot?: string; onProgress?: (text: string) => void },
): Promise<SeedResult> {
  const begin = performance.now();
  const plan = planSeed(seed);
  const timeline: string[] = [];
  const problems: string[] = [];
  const note = (text: string): void => {
    const line = `${((performance.now() - begin) / 1_000).toFixed(1).padStart(6)} s  ${text}`;
    timeline.push(line);
    options.onProgress?.(line);
  };
  const complain = (problem: string): void => void (problems.length < 50 && problems.push(problem));
  const ledger = createLedger();
  const system = await startSystemUnderFire({
    stack: chaos.stack,
    doors: chaos.doors,
    replicas: plan.replicas,
    startAtFirst: plan.startAtFirst,
    settings: ({ name }) => settingsOf(plan.client, name),
    ...(options.codeRoot === undefined ? {} : { codeRoot: options.codeRoot }),
  });
  const { run } = system;
  let found: { problems: string[]; records: number } = { problems: [], records: 0 };
  let evidence: string | null = null;
  try {
    await recordOffsetMoves(run.database.pool);
    const experiment = await createExperiment(run, { key: experimentKey, exposure: 'implicit' });
    note(`started with ${plan.client}`);
    const urlsOf = (name: Parameters<typeof system.of>[0]): string[] =>
      system.of(name).map(({ process }) => process.url);
    const traffic = startTraffic({
      seed,
      ledger,
      ingestionUrls: urlsOf('ingestion-service'),
      apiKey: run.access.ingestKey,
      experiment: { id: experiment.experiment_id, variants: experiment.variants.map(({ variant_id }) => variant_id) },
      complain,
    });
    const direct = startDirectProducer({
      seed,
      kafka: run.topics.kafka,
      topic: run.topics.name('events'),
      encode: await run.topics.encoder('events'),
      ledger,
    });
    const asking = startAssignmentRequests({
      seed,
      urls: urlsOf('assignment-service'),
      apiKey: run.access.ingestKey,
      experimentKey,
      complain,
    });
    for (const phase of [plan.lanes, plan.afterwards]) {
      const lanes = phase.map(async (steps) => {
        for (const step of steps) {
          const what = await carryOut(step, system, chaos);
          if (what !== undefined) note(what);
        }
      });
      const failed = (await Promise.allSettled(lanes)).filter((lane) => lane.status === 'rejected');
      for (const { reason } of failed) complain(`a fault could not be carried out: ${reason}`);
    }
    await heal(system, plan);
    note('healed');
    await Promise.all([traffic.stop(), direct.stop(), asking.stop()]);
    await waitUntilCaughtUp({ ...run.topics, pool: run.database.pool, stallMs: settleStallMs });
    note('caught up');
    for (const end of run.unexpectedEnds) complain(end.split('\n', 1)[0]!);
    found = await findViolations(run, ledger, { groups, answers: asking.answers() });
    note('checked');
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  } finally {
    problems.push(...found.problems);
    if (problems.length > 0) {
      const text = [...problems, '', ...timeline, ''].join('\n');
      evidence = await keepEvidence(join(options.evidenceDir, `seed-${seed}`), system, ledger, text);
    }
    await system.stop().catch((error: unknown) => complain(`the system could not be stopped: ${error}`));
  }
  return {
    seed,
    problems,
    seconds: (performance.now() - begin) / 1_000,
    counts: {
      acknowledged: ledger.count('acknowledged'),
      unknown: ledger.count('unknown'),
      rejected: ledger.count('rejected'),
    },
    records: found.records,
    faults: [...plan.lanes, ...plan.afterwards].flat().filter(({ kind }) => kind !== 'wait').length,
    hits: system.hits,
    evidence,
  };
}
