// What processes use, as the kernel counts it: resident memory, and CPU time of a process with everything that it started.
import { readdirSync, readFileSync } from 'node:fs';

const msPerTick = 10;

function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    // It has ended, or there is no /proc here.
    return undefined;
  }
}

/** A field of /proc/<pid>/status in bytes; 0 for a process that has ended and where there is no /proc. */
export function residentBytesOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readProc(`${pid}/status`) ?? '');
  return Number(found?.[1] ?? 0) * 1024;
}

export type ProcessTimes = {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** User and system time, in ms. */
  readonly ownMs: number;
  /** The same of children that have ended and were waited for. */
  readonly endedChildrenMs: number;
};

function parseStat(pid: number, stat: string): ProcessTimes {
  // The name is in brackets and may hold anything; the fields after it are counted from the state.
  const nameEnd = stat.lastIndexOf(')');
  const fields = stat.slice(nameEnd + 2).split(' ');
  const ms = (first: number): number => (Number(fields[first]) + Number(fields[first + 1])) * msPerTick;
  return {
    pid,
    parent: Number(fields[1]),
    name: stat.slice(stat.indexOf('(') + 1, nameEnd),
    ownMs: ms(11),
    endedChildrenMs: ms(13),
  };
}

/** Every process there is; empty where there is no /proc. */
export function listProcessTimes(): ProcessTimes[] {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const stat = readProc(`${name}/stat`);
    return stat === undefined ? [] : [parseStat(Number(name), stat)];
  });
}

/** The process and all its descendants that run now. */
export function selectTree(processes: readonly ProcessTimes[], root: number): ProcessTimes[] {
  const selected = new Set([root]);
  // Children may be listed before their parents: repeated until nothing is added.
  for (let before = 0; before < selected.size; ) {
    before = selected.size;
    for (const { pid, parent } of processes) if (selected.has(parent)) selected.add(pid);
  }
  return processes.filter(({ pid }) => selected.has(pid));
}

/** CPU time so far of the process and everything it started, ended children included, in ms. */
export function cpuMsOfTree(root: number): number {
  return selectTree(listProcessTimes(), root).reduce(
    (sum, { ownMs, endedChildrenMs }) => sum + ownMs + endedChildrenMs,
    0,
  );
}
