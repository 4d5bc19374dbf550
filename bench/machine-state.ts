// The machine that a benchmark ran on, and what else ran on it: without that, speeds say nothing.
import { availableParallelism, cpus, loadavg, release, type as systemType, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { listProcessTimes, type ProcessTimes, selectTree } from './support/process-usage.ts';

export type MachineState = {
  readonly system: string;
  readonly processor: string;
  readonly processorCount: number;
  readonly memoryGb: number;
  readonly node: string;
  /** Over 1, 5 and 15 minutes. */
  readonly loadAverage: readonly number[];
  /** Programs that are not ours and used more than a twentieth of a core over one second; empty where there is no /proc. */
  readonly otherBusyProcesses: readonly { readonly name: string; readonly cpuRatio: number }[];
};

const watchMs = 1_000;
const busyRatio = 0.05;
const maxListed = 10;

/** The difference between two looks, without this process and what it started. */
export function findBusyProcesses(
  before: readonly ProcessTimes[],
  after: readonly ProcessTimes[],
  options: { ownPid: number; elapsedMs: number },
): MachineState['otherBusyProcesses'] {
  const own = new Set(selectTree(after, options.ownPid).map(({ pid }) => pid));
  const earlier = new Map(before.map(({ pid, ownMs }) => [pid, ownMs]));
  return after
    .filter(({ pid }) => !own.has(pid) && earlier.has(pid))
    .map(({ pid, name, ownMs }) => ({ name, cpuRatio: (ownMs - earlier.get(pid)!) / options.elapsedMs }))
    .filter(({ cpuRatio }) => cpuRatio > busyRatio)
    .sort((a, b) => b.cpuRatio - a.cpuRatio)
    .slice(0, maxListed);
}

/** Takes a second. */
export async function readMachineState(): Promise<MachineState> {
  const before = listProcessTimes();
  const startedAt = performance.now();
  await sleep(watchMs);
  const elapsedMs = performance.now() - startedAt;
  return {
    system: `${systemType()} ${release()}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processorCount: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    node: process.version,
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
    otherBusyProcesses: findBusyProcesses(before, listProcessTimes(), { ownPid: process.pid, elapsedMs }),
  };
}

export function describeMachine(state: MachineState): string {
  const others = state.otherBusyProcesses.map(({ name, cpuRatio }) => `${name} ${Math.round(cpuRatio * 100)} %`);
  return [
    `${state.processorCount} × ${state.processor}, ${state.memoryGb} GB, ${state.system}, Node ${state.node}`,
    `load average ${state.loadAverage.join(' ')}; other busy programs, in shares of a core: ${others.length === 0 ? 'none' : others.join(', ')}`,
  ].join('\n');
}
