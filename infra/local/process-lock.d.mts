// Types of process-lock.mjs, which must stay plain JS.

/** One process, told from a later one that got the same pid. */
export type ProcessIdentity = { readonly pid: number; readonly startedAt: string };

export function findProcessStart(pid: number): string | undefined;
export function identifyProcess(pid: number): ProcessIdentity | undefined;
export function isAlive(identity: ProcessIdentity): boolean;
export function findLockHolder(path: string): ProcessIdentity | undefined;
export function tryLock(path: string): { release(): void } | undefined;
export function withLock<T>(path: string, work: () => T | Promise<T>): Promise<T>;
