// What `npm run up` and `npm run status` print: addresses, and the state of each component seen by using it.
import { join } from 'node:path';
import type { Component, ComponentContext } from './component.ts';
import { type ComponentName, components } from './components.ts';
import { readOrMakeCredentials } from './credentials.ts';
import { ensureJavaArtifacts } from './java-artifacts.ts';
import { isAlive } from './process-lock.mjs';
import type { ComponentEntry, StackFile } from './stack-file.ts';

/** healthy: it answered; failing: its program runs but does not answer properly; down: its program does not run. */
export type ComponentState = 'healthy' | 'failing' | 'down';

export type ComponentStatus = {
  readonly component: ComponentName;
  readonly state: ComponentState;
  readonly address: string;
  readonly pid: number | null;
  readonly logPath: string;
  readonly problem?: string;
};

/** Uses every component of the file once. */
export async function checkComponents(file: StackFile): Promise<ComponentStatus[]> {
  const credentials = await readOrMakeCredentials(file.localDir);
  const contextOf = ({ name }: Component): ComponentContext => ({
    localDir: file.localDir,
    dataDir: join(file.localDir, name),
    logDir: join(file.localDir, 'logs'),
    ports: file.ports,
    credentials,
    onProgress: () => {},
    java: () => ensureJavaArtifacts(),
  });
  return Promise.all(
    (components as readonly Component[]).flatMap((component) => {
      const entry = file.components[component.name as ComponentName];
      return entry === undefined ? [] : [statusOf(component, entry)];
    }),
  );

  async function statusOf(component: Component, entry: ComponentEntry): Promise<ComponentStatus> {
    const name = component.name as ComponentName;
    const seen = { component: name, address: entry.address, logPath: entry.logPath };
    if (entry.process === null || !isAlive(entry.process)) return { ...seen, state: 'down', pid: null };
    const { pid } = entry.process;
    return component.check(contextOf(component)).then(
      () => ({ ...seen, state: 'healthy', pid }),
      (error: Error) => ({ ...seen, state: 'failing', pid, problem: error.message }),
    );
  }
}

export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function describeStatus(statuses: readonly ComponentStatus[]): string {
  const rows = statuses.map(({ component, state, address, pid, logPath }) => [
    component,
    state,
    address,
    pid === null ? '-' : String(pid),
    logPath,
  ]);
  const problems = statuses.flatMap(({ component, problem }) =>
    problem === undefined ? [] : [`${component}: ${problem}`],
  );
  return [formatTable([['component', 'state', 'address', 'pid', 'log'], ...rows]), ...problems].join('\n');
}

/** The addresses that a person pastes into a client. Passwords stay in stack.json, which only its owner can read. */
export function describeEndpoints({ endpoints, localDir }: StackFile): string {
  const { kafka, schemaRegistry, objectStore, postgres, mlflow, redis, prefect } = endpoints;
  return [
    formatTable([
      ['Kafka', kafka.brokers.join(',')],
      ['Schema registry', schemaRegistry.url],
      ['Object store (S3)', `${objectStore.endpoint} bucket ${objectStore.objectStoreBucket}`],
      ['Postgres', `${postgres.host}:${postgres.port} database ${postgres.database}`],
      ...(mlflow === undefined ? [] : [['MLflow', mlflow.url]]),
      ...(redis === undefined ? [] : [['Redis', new URL(redis.url).host]]),
      ...(prefect === undefined ? [] : [['Prefect', prefect.url]]),
    ]),
    `Credentials and everything else: ${localDir}/stack.json`,
  ].join('\n');
}
