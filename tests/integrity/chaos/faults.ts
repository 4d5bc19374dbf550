// The faults themselves: signals to processes, states of links, restarts of components, and a member that is cut off in mid-flush.
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningComponent } from '#infra/local/running-component.ts';
import type { ProcessName } from '#infra/system/process-specs.ts';
import { inNamespace } from '#schemas/topics.ts';
import { until } from '#tests/support/poll.ts';
import { readPositions } from '#tests/support/stored-events.ts';
import type { LinkState } from './fault-link.ts';
import { type Dependency, type MomentKey, replacedInFlush } from './moments.ts';
import type { Station, Strike, SystemUnderFire } from './system-under-fire.ts';
import { recognizeFlush } from './wire.ts';

/** How long an aim waits for its moment. */
const aimDeadlineMs = 60_000;

/** Sends a signal to the process of the station, unless it has none or that one ends at this very moment. */
async function signal(station: Station, name: NodeJS.Signals): Promise<void> {
  if (station.process.pid === undefined) return;
  try {
    await station.process.kill(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Kill -9, and after a while a new process. */
export async function killAndRevive(station: Station, downMs: number): Promise<void> {
  await signal(station, 'SIGKILL');
  await sleep(downMs);
  await station.revive();
}

export async function terminateAndRevive(station: Station, downMs: number): Promise<void> {
  await signal(station, 'SIGTERM');
  await sleep(downMs);
  await station.revive();
}

/** Stopped as if by a debugger or a starved machine; it goes on believing what it believed. */
export async function freeze(station: Station, ms: number): Promise<void> {
  await signal(station, 'SIGSTOP');
  await sleep(ms);
  await signal(station, 'SIGCONT');
}

export type AimedAction = 'kill' | 'freeze' | 'lose the answer';

/**
 * Waits for the moment at any of the stations and strikes there. kill: the bytes of the moment never arrive. freeze: they arrive at a
 * process that does not run. lose the answer: the connection breaks in their place. Resolves with the station, or null when the
 * moment did not come.
 */
export async function strikeAt(
  stations: readonly Station[],
  moment: MomentKey,
  action: AimedAction,
  options: { freezeMs: number; downMs: number; deadlineMs?: number },
): Promise<Station | null> {
  let struck: Station | undefined;
  let after: Promise<void> = Promise.resolve();
  const strikeOf = (station: Station): Strike => {
    return async () => {
      // The aims of the others stay until the end of this turn: only the first one strikes.
      if (struck !== undefined) return 'pass';
      struck = station;
      if (action === 'lose the answer') return 'drop';
      if (action === 'kill') {
        await signal(station, 'SIGKILL');
        after = sleep(options.downMs).then(() => station.revive());
        // Awaited below, perhaps only later than it fails.
        after.catch(() => undefined);
        return 'drop';
      }
      await signal(station, 'SIGSTOP');
      after = sleep(options.freezeMs).then(() => signal(station, 'SIGCONT'));
      return 'pass';
    };
  };
  const aims = stations.map((station) => station.aim(moment, strikeOf(station)));
  await Promise.race([...aims.map((aim) => aim.struck), sleep(options.deadlineMs ?? aimDeadlineMs)]);
  for (const aim of aims) aim.cancel();
  await after;
  return struck ?? null;
}

/** Makes the group rebalance by a restart of one member, and strikes at another one while it waits for its new partitions. */
export async function strikeInRebalance(
  stations: readonly Station[],
  action: AimedAction,
  options: { freezeMs: number; downMs: number },
): Promise<Station | null> {
  const [restarted, ...others] = stations;
  const targets = others.filter(({ process }) => process.pid !== undefined);
  const struck = strikeAt(targets.length > 0 ? targets : stations, 'midRebalance', action, options);
  await terminateAndRevive(restarted!, options.downMs);
  return struck;
}

/**
 * Cuts a member off from Kafka while its flushes wait before their transaction, until another member has taken its partitions over and
 * moved on; then the flushes go on, of a member that does not know that it is none any more. Resolves with whether it came that far.
 */
export async function isolateInFlush(system: SystemUnderFire, station: Station): Promise<boolean> {
  const { run } = system;
  const group = inNamespace(station.group, run.topics.namespace);
  const released = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const isBegin = recognizeFlush('begin');
  const endWatch = station.links.postgres.watch((passing) => {
    if (!isBegin(passing)) return undefined;
    held.resolve();
    return released.promise.then(() => 'pass' as const);
  });
  try {
    const owned = await ownedPartitions(station);
    const isHeld = await Promise.race([held.promise.then(() => true), sleep(aimDeadlineMs).then(() => false)]);
    if (!isHeld || owned.length === 0) return false;
    station.links.kafka.become({ kind: 'silent' });
    const before = await readPositions(run.database.pool, group);
    await until(
      'another member has moved on',
      async () => {
        const now = await readPositions(run.database.pool, group);
        return owned.every((partition) => (now.get(partition) ?? 0n) > (before.get(partition) ?? 0n));
      },
      { deadlineMs: 40_000, intervalMs: 200 },
    );
    system.hits.set(replacedInFlush, (system.hits.get(replacedInFlush) ?? 0) + 1);
    return true;
  } catch {
    return false;
  } finally {
    endWatch();
    released.resolve();
    // Its flushes reach Postgres before it hears of Kafka again.
    await sleep(1_000);
    station.links.kafka.become({ kind: 'open' });
  }
}

async function ownedPartitions(station: Station): Promise<readonly number[]> {
  const answer = await fetch(`${station.process.url}/readyz`, { signal: AbortSignal.timeout(3_000) });
  return ((await answer.json()) as { partitions?: number[] }).partitions ?? [];
}

/** Puts the links of the stations to one dependency into a state for a while. */
export async function disturb(
  stations: readonly Station[],
  dependency: Dependency,
  state: LinkState,
  ms: number,
): Promise<void> {
  for (const { links } of stations) links[dependency].become(state);
  await sleep(ms);
  for (const { links } of stations) links[dependency].become({ kind: 'open' });
}

/** Ends a real component, by force or in order, and starts it again on the same data. */
export async function restartComponent(component: RunningComponent, signal: 'SIGKILL' | 'stop', downMs: number) {
  if (signal === 'SIGKILL') await component.kill('SIGKILL');
  else await component.stop();
  await sleep(downMs);
  await component.start();
}

/** Brings the group to so many members: starts those that are missing, stops the last ones in order. */
export async function scale(system: SystemUnderFire, group: ProcessName, members: number): Promise<void> {
  for (const [index, station] of system.of(group).entries()) {
    if (index < members) await station.revive();
    else await station.process.stop();
  }
}
