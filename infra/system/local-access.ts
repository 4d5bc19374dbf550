// Passwords and API keys of a local system, derived from the stack's own secret so that nothing more has to be stored.
import { createHmac } from 'node:crypto';
import type { StackEndpoints } from '../local/components.ts';

export type LocalAccess = {
  /** Password of every process role. */
  readonly rolePassword: string;
  readonly adminKey: string;
  readonly ingestKey: string;
  /** Key by which erased units are recognized. */
  readonly erasureKey: string;
};

export function deriveLocalAccess(endpoints: StackEndpoints): LocalAccess {
  const derive = (purpose: string): string =>
    createHmac('sha256', endpoints.postgres.superuserPassword).update(purpose).digest('hex').slice(0, 40);
  return {
    rolePassword: derive('roles'),
    adminKey: `ts_local_${derive('admin')}`,
    ingestKey: `ts_local_${derive('ingest')}`,
    erasureKey: derive('erasure'),
  };
}

/** Connection string of a process role on the local Postgres. */
export function urlOfRole(endpoints: StackEndpoints, role: string, password: string): string {
  const url = new URL(endpoints.postgres.superuserUrl);
  url.username = role;
  url.password = password;
  return url.toString();
}
