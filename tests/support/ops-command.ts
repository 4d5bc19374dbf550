// The operators' command line as a process of its own, on a database and topics of a test.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from '#infra/local/local-dir.ts';
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

export type OpsResult = { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string };

/** What `ops ARGS` prints, whatever its exit code. */
export async function runOps(place: OpsPlace, args: readonly string[]): Promise<OpsResult> {
  const child = spawn(process.execPath, [join(repositoryRoot, 'ops', 'main.ts'), ...args], {
    env: opsEnvironment(place),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { exitCode, stdout, stderr };
}
