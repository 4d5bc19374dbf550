// Our own processes as data: entry file, database role and which addresses each needs. Compose, npm start and tests agree on it.

export type ProcessName =
  | 'assignment-service'
  | 'ingestion-service'
  | 'postgres-sink'
  | 'parquet-archiver'
  | 'metrics-aggregator'
  | 'dataset-builder'
  | 'guardrail-monitor'
  | 'job-worker'
  | 'planner-service';

export type ProcessSpec = {
  readonly name: ProcessName;
  readonly entry: string;
  /** Bounds of V8's memory where its own choice, made from the size of the machine, is beyond what a process should take. */
  readonly nodeArguments?: readonly string[];
  readonly role: string;
  /** Environment name of the port it listens on, for HTTP traffic or for health and metrics only. */
  readonly portSetting: 'HTTP_PORT' | 'OPERATIONS_PORT';
  readonly defaultPort: number;
  readonly needsObjectStore: boolean;
  /** It cannot do without Redis, so it runs only where the stack has it (profile `ml`). */
  readonly needsRedis?: boolean;
  /** A local system has it only when somebody starts it: `npm run planner`. */
  readonly startsOnDemand?: boolean;
};

export const plannerServiceSpec: ProcessSpec = {
  name: 'planner-service',
  entry: 'api/planner-service/main.ts',
  role: 'planner_service',
  portSetting: 'HTTP_PORT',
  defaultPort: 7071,
  needsObjectStore: false,
  startsOnDemand: true,
};

/** Measured with a backlog (docs/benchmarks.md): a smaller young generation costs more CPU time than it saves memory. */
const groupMemory = ['--max-old-space-size=288', '--max-semi-space-size=32'];
/** Bodies live no longer than their answer: a larger young generation would only be filled before it is collected. */
const doorMemory = ['--max-semi-space-size=16'];
/** DuckDB's memory comes on top. */
const archiverMemory = ['--max-old-space-size=224', '--max-semi-space-size=16'];

export const processSpecs: readonly ProcessSpec[] = [
  {
    name: 'assignment-service',
    entry: 'api/assignment-service/main.ts',
    role: 'assignment_service',
    portSetting: 'HTTP_PORT',
    defaultPort: 7001,
    needsObjectStore: false,
  },
  {
    name: 'ingestion-service',
    entry: 'api/ingestion-service/main.ts',
    nodeArguments: doorMemory,
    role: 'ingestion_service',
    portSetting: 'HTTP_PORT',
    defaultPort: 7002,
    needsObjectStore: false,
  },
  {
    name: 'postgres-sink',
    entry: 'consumers/postgres-sink/main.ts',
    nodeArguments: groupMemory,
    role: 'postgres_sink',
    portSetting: 'OPERATIONS_PORT',
    defaultPort: 7011,
    needsObjectStore: false,
  },
  {
    name: 'parquet-archiver',
    entry: 'consumers/parquet-archiver/main.ts',
    nodeArguments: archiverMemory,
    role: 'parquet_archiver',
    portSetting: 'OPERATIONS_PORT',
    defaultPort: 7021,
    needsObjectStore: true,
  },
  {
    name: 'metrics-aggregator',
    entry: 'consumers/metrics-aggregator/main.ts',
    nodeArguments: groupMemory,
    role: 'metrics_aggregator',
    portSetting: 'OPERATIONS_PORT',
    defaultPort: 7031,
    needsObjectStore: false,
  },
  {
    name: 'dataset-builder',
    entry: 'consumers/dataset-builder/main.ts',
    nodeArguments: groupMemory,
    role: 'dataset_builder',
    portSetting: 'OPERATIONS_PORT',
    defaultPort: 7041,
    needsObjectStore: false,
  },
  {
    name: 'guardrail-monitor',
    entry: 'workers/guardrail-monitor/main.ts',
    role: 'guardrail_monitor',
    portSetting: 'OPERATIONS_PORT',
    defaultPort: 7051,
    needsObjectStore: false,
  },
  {
    name: 'job-worker',
    entry: 'workers/job-worker/main.ts',
    // It does what operators do.
    role: 'operator',
    portSetting: 'OPERATIONS_PORT',
    defaultPort: 7061,
    needsObjectStore: true,
    needsRedis: true,
  },
  plannerServiceSpec,
];

/** The arguments of Node.js that run the process from the root of the installation. */
export function nodeCommandOf({ nodeArguments = [], entry }: ProcessSpec): string[] {
  return [...nodeArguments, entry];
}
