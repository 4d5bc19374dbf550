// What a component of the local stack is: one record that says how to fetch, start, check and describe it.
import type { JavaArtifacts } from './java-artifacts.ts';
import type { StopSignal } from './lifeline.ts';

/** Secrets of one local dir: made once, kept with the data. */
export type Credentials = {
  readonly postgresPassword: string;
  readonly registryPassword: string;
  readonly objectStoreAccessKey: string;
  readonly objectStoreSecretKey: string;
  readonly mlflowPassword: string;
  readonly redisPassword: string;
  readonly prefectPassword: string;
};

/** A further door of the broker that tells clients to come back by another port: what stands between can then see and hold them. */
export type KafkaListener = { readonly port: number; readonly advertisedPort: number };

/** What a component may use: its own folder and ports, and those of the others. */
export type ComponentContext = {
  readonly localDir: string;
  /** The component's own folder; kept over restarts. */
  readonly dataDir: string;
  readonly logDir: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly kafkaListeners?: readonly KafkaListener[];
  readonly credentials: Credentials;
  readonly onProgress: (text: string) => void;
  /** Java and the folders of jars; fetched on first use. */
  readonly java: () => Promise<JavaArtifacts>;
};

/** Groups of components that not everybody needs. */
export const profiles = ['ml'] as const;
export type Profile = (typeof profiles)[number];

export type CommandSpec = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly user?: { readonly uid: number; readonly gid: number };
};

export type Component<Name extends string = string, Endpoint extends object = object> = {
  /** Key in endpoints, name of its folder and log. */
  readonly name: Name;
  /** What people see. */
  readonly title: string;
  /** Runs only when this profile is asked for; always when absent. */
  readonly profile?: Profile;
  /** Names of components that must be healthy before this one starts. */
  readonly dependsOn: readonly string[];
  /** Wanted ports by name, unique in the stack; `undefined` means any. The one named like the component is its address. */
  readonly ports: Readonly<Record<string, number | undefined>>;
  readonly stopSignal: StopSignal;
  readonly graceSeconds: number;
  readonly healthDeadlineMs: number;
  /** Makes files and folders, and gives the command that stays in the foreground. Runs at every start. */
  readonly prepare: (context: ComponentContext) => Promise<CommandSpec>;
  /** Uses the service once; throws while it is not healthy. Must end within a few seconds. */
  readonly check: (context: ComponentContext) => Promise<void>;
  /** Creates what clients expect (a database, a bucket) once it is healthy. Idempotent. */
  readonly provision?: (context: ComponentContext) => Promise<void>;
  /** What clients need to reach it. */
  readonly endpoint: (context: ComponentContext) => Endpoint;
  /** Folders outside the local dir that `down --wipe` removes too. */
  readonly foldersElsewhere?: (localDir: string) => readonly string[];
};

/** Keeps the literal name and the endpoint's type, from which the type of all endpoints follows. */
export function defineComponent<const Name extends string, Endpoint extends object>(
  component: Component<Name, Endpoint>,
): Component<Name, Endpoint> {
  return component;
}

/** The port with this name. @throws when no component declares it. */
export function getPort(context: ComponentContext, name: string): number {
  const port = context.ports[name];
  if (port === undefined) throw new Error(`no component declares the port ${name}`);
  return port;
}
