// The operators' command line as a process of its own, on a database and topics of a test.

import { runOwnProgram } from '#infra/system/bring-up.ts';
import { administratorEnvironment } from '#infra/system/environment.ts';
import { deriveLocalAccess } from '#infra/system/local-access.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

export type OpsPlace = {
  /** With the rights that the command needs; the operator's as a rule. */
  readonly postgresUrl: string;
  readonly namespace: string;
  readonly erasureKey: string;
  /** Further settings. */
  readonly settings?: Readonly<Record<string, string>>;
};

export function opsEnvironment(place: OpsPlace): Readonly<Record<string, string>> {
  const endpoints = stackEndpoints();
  return {
    ...administratorEnvironment(endpoints, deriveLocalAccess(endpoints)),
    POSTGRES_URL: place.postgresUrl,
    KAFKA_NAMESPACE: place.namespace,
    ERASURE_KEY: place.erasureKey,
    OPS_ACTOR: 'tester',
    ...place.settings,
  };
}

/** What `ops ARGS --json` prints. @throws with all of its output when it fails. */
export async function runOpsJson<T>(place: OpsPlace, args: readonly string[]): Promise<T> {
  return JSON.parse(await runOwnProgram('ops/main.ts', [...args, '--json'], opsEnvironment(place))) as T;
}
