// Our processes, each behind fault links of its own to everything it depends on, so that faults can be aimed at one of them.
import { setTimeout as sleep } from 'node:timers/promises';
import type { StackEndpoints } from '#infra/local/components.ts';
import type { LocalStack } from '#infra/local/stack.ts';
import { type ProcessName, processSpecs } from '#infra/system/process-specs.ts';
import type { RunningProcess } from '#infra/system/system.ts';
import { startTestSystem, type TestSystem, type TestSystemOptions } from '#tests/support/test-system.ts';
import { type FaultLink, openFaultLink } from './fault-link.ts';
import { type Dependency, type Moment, type MomentKey, moments } from './moments.ts';

/** What happens to the bytes of the moment, once it has come. */
export type Strike = () => Promise<'pass' | 'drop'>;

export type Station = {
  readonly name: string;
  readonly group: ProcessName;
  /** Set once the system has started. */
  process: RunningProcess;
  readonly links: Readonly<Record<Dependency, FaultLink>>;
  /** Strikes once, at the next time the moment comes. Resolves when it has; `cancel` gives the aim up. */
  aim(moment: MomentKey, strike: Strike): { readonly struck: Promise<void>; cancel(): void };
  /** Starts the process again and again until it is ready: what a supervisor would do while a dependency is away. */
  revive(): Promise<void>;
  /** Closes the links; the door of Kafka belongs to the stack and stays. */
  close(): Promise<void>;
};

export type SystemUnderFire = {
  readonly run: TestSystem;
  readonly stations: readonly Station[];
  of(name: ProcessName): Station[];
  /** How often each moment was struck, by its name. */
  readonly hits: Map<string, number>;
  /** Opens all links. */
  openLinks(): void;
  stop(): Promise<void>;
};

const reviveDeadlineMs = 180_000;

function targetPorts({
  postgres,
  objectStore,
  schemaRegistry,
}: StackEndpoints): Record<Exclude<Dependency, 'kafka'>, number> {
  const portOf = (url: string): number => Number(new URL(url).port);
  return {
    postgres: postgres.port,
    objectStore: portOf(objectStore.endpoint),
    schemaRegistry: portOf(schemaRegistry.url),
  };
}

function withPort(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.toString();
}

async function openStation(options: {
  name: string;
  group: ProcessName;
  endpoints: StackEndpoints;
  door: FaultLink;
  hits: Map<string, number>;
}): Promise<Station> {
  const { door, group, hits } = options;
  const ports = targetPorts(options.endpoints);
  const [postgres, objectStore, schemaRegistry] = await Promise.all([
    openFaultLink({ targetPort: ports.postgres }),
    openFaultLink({ targetPort: ports.objectStore }),
    openFaultLink({ targetPort: ports.schemaRegistry }),
  ]);
  const links = { kafka: door, postgres, objectStore, schemaRegistry };
  const watches: (() => void)[] = [];
  const aims = new Map<MomentKey, Strike>();
  for (const [key, moment] of Object.entries(moments) as [MomentKey, Moment][]) {
    if (!moment.processes.includes(group)) continue;
    // From the first byte on: what Kafka says can only be read in order.
    const recognize = moment.recognize();
    const watch = links[moment.dependency].watch((passing) => {
      if (!recognize(passing)) return undefined;
      const strike = aims.get(key);
      if (strike === undefined) return undefined;
      aims.delete(key);
      hits.set(moment.name, (hits.get(moment.name) ?? 0) + 1);
      return strike();
    });
    watches.push(watch);
  }
  const station: Station = {
    name: options.name,
    group,
    process: undefined as unknown as RunningProcess,
    links,
    aim: (moment, strike) => {
      const struck = Promise.withResolvers<void>();
      const once: Strike = async () => {
        try {
          return await strike();
        } finally {
          struck.resolve();
        }
      };
      aims.set(moment, once);
      return {
        struck: struck.promise,
        cancel: () => {
          if (aims.get(moment) === once) aims.delete(moment);
        },
      };
    },
    revive: async () => {
      const deadline = Date.now() + reviveDeadlineMs;
      for (;;) {
        try {
          await station.process.start();
          return;
        } catch (error) {
          if (Date.now() > deadline) throw error;
          await sleep(300);
        }
      }
    },
    close: async () => {
      for (const end of watches) end();
      links.kafka.become({ kind: 'open' });
      await Promise.all([postgres, objectStore, schemaRegistry].map((link) => link.close()));
    },
  };
  return station;
}

type SystemUnderFireOptions = {
  stack: LocalStack;
  doors: readonly FaultLink[];
  replicas: Partial<Record<ProcessName, number>>;
  settings?: (process: { name: ProcessName; replica: number }) => Readonly<Record<string, string>>;
  startAtFirst?: TestSystemOptions['startAtFirst'];
  codeRoot?: string;
};

let starting: Promise<unknown> = Promise.resolve();

/**
 * Starts the wanted number of each process behind its links. The doors must belong to the stack and be in no other use. Systems that are
 * wanted at the same time start one after the other: a start is the hardest work of all.
 */
export function startSystemUnderFire(options: SystemUnderFireOptions): Promise<SystemUnderFire> {
  const mine = starting.then(() => start(options));
  starting = mine.catch(() => undefined);
  return mine;
}

async function start(options: SystemUnderFireOptions): Promise<SystemUnderFire> {
  const { endpoints } = options.stack;
  const hits = new Map<string, number>();
  const wanted = processSpecs.flatMap(({ name }) =>
    Array.from({ length: options.replicas[name] ?? 0 }, (_, index) => ({ group: name, replica: index + 1 })),
  );
  if (wanted.length > options.doors.length) throw new Error(`${wanted.length} processes need as many doors of Kafka`);
  const stations = await Promise.all(
    wanted.map(({ group, replica }, index) =>
      openStation({
        name: replica === 1 ? group : `${group}-${replica}`,
        group,
        endpoints,
        door: options.doors[index]!,
        hits,
      }),
    ),
  );
  const closeLinks = async (): Promise<void> => {
    await Promise.all(stations.map((station) => station.close()));
  };
  const find = (group: ProcessName, replica: number): Station =>
    stations.find(({ name }) => name === (replica === 1 ? group : `${group}-${replica}`))!;
  try {
    const run = await startTestSystem(options.replicas, {
      endpoints,
      ...(options.startAtFirst === undefined ? {} : { startAtFirst: options.startAtFirst }),
      ...(options.codeRoot === undefined ? {} : { codeRoot: options.codeRoot }),
      overrides: ({ name, replica, postgresUrl }) => {
        const { links } = find(name, replica);
        return {
          KAFKA_BROKERS: `127.0.0.1:${links.kafka.port}`,
          POSTGRES_URL: withPort(postgresUrl, links.postgres.port),
          S3_ENDPOINT: withPort(endpoints.objectStore.endpoint, links.objectStore.port),
          SCHEMA_REGISTRY_URL: withPort(endpoints.schemaRegistry.url, links.schemaRegistry.port),
          ...options.settings?.({ name, replica }),
        };
      },
    });
    for (const station of stations) station.process = run.system.processes.get(station.name)!;
    return {
      run,
      stations,
      hits,
      of: (group) => stations.filter((station) => station.group === group),
      openLinks: () => {
        for (const { links } of stations) for (const link of Object.values(links)) link.become({ kind: 'open' });
      },
      stop: async () => {
        await run.stop();
        await closeLinks();
      },
    };
  } catch (error) {
    await closeLinks();
    throw error;
  }
}
