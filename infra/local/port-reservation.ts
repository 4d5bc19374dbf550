// Keeps other stacks of this machine from choosing a port between its choice and the moment at which its component listens there.
import { accessSync, chmodSync, constants, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePorts, isPortFree } from './ports.ts';
import { tryLock } from './process-lock.mjs';

export type PortReservation<Name extends string> = {
  readonly ports: Record<Name, number>;
  /** Gives the ports back; they come back by themselves when this process ends, in whatever way. */
  release(): void;
};

const sharedFolder = join(tmpdir(), 'trialstream-ports');

/** Chooses as `choosePorts` does, and among ports that no other living process of this kind has chosen before. */
export async function reservePorts<Name extends string>(
  preferred: Readonly<Record<Name, number | undefined>>,
  folder: string = sharedFolder,
): Promise<PortReservation<Name>> {
  const claims: { release(): void }[] = [];
  const release = (): void => {
    for (const claim of claims.splice(0)) claim.release();
  };
  const canClaim = prepare(folder);
  const claim = (port: number): boolean => {
    if (!canClaim) return true;
    try {
      const lock = tryLock(join(folder, String(port)));
      if (lock !== undefined) claims.push(lock);
      return lock !== undefined;
    } catch {
      // The claim of another user, who alone may remove it.
      return false;
    }
  };
  try {
    return { ports: await choosePorts(preferred, async (port) => (await isPortFree(port)) && claim(port)), release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Every user of the machine may claim; without such a folder, ports are chosen as if nobody else were. */
function prepare(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch {
    return false;
  }
  try {
    chmodSync(folder, 0o1777);
  } catch {
    // Made by another user, with these rights.
  }
  return true;
}
