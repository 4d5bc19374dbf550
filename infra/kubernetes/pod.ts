// The pod of one of our programs: command, settings from ConfigMap and Secrets, probes, limits, and no rights beyond those it needs.
import type { IContainer, IEnvVar, IPodTemplateSpec, IProbe } from 'kubernetes-models/v1';
import type { ProcessSettings } from '../generate/process-settings.ts';
import { nodeCommandOf, type ProcessSpec } from '../system/process-specs.ts';

export const settingsName = 'trialstream-settings';
/** One key per role: the connection string that a role logs in with. */
export const postgresSecret = 'trialstream-postgres';
export const secretsName = 'trialstream-secrets';

/** Settings that are the same for all programs of an environment; the others keep their defaults until an overlay says otherwise. */
export const sharedSettings: readonly string[] = [
  'KAFKA_BROKERS',
  'KAFKA_NAMESPACE',
  'KAFKA_SSL',
  'KAFKA_USERNAME',
  'KAFKA_REPLICATION_FACTOR',
  'SCHEMA_REGISTRY_URL',
  'S3_ENDPOINT',
  'S3_REGION',
  'S3_BUCKET',
  'MLFLOW_URL',
  'ASSIGNMENT_URL',
  'INGESTION_URL',
  'INFERENCE_URL',
  'EVENT_RETENTION_DAYS',
  'LOG_LEVEL',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'TRACE_ONE_IN',
];

/** No secret by itself, but one half of a pair. */
const keptWithSecrets: readonly string[] = ['S3_ACCESS_KEY_ID'];

type Program = {
  readonly name: string;
  readonly role: string;
  readonly args: readonly string[];
  readonly settings: ProcessSettings['settings'];
};

const isOptional = ({ defaultValue, optional }: Program['settings'][number]): boolean =>
  optional || defaultValue !== undefined;

/** Settings of a program, each from where it is kept; a port and an address are fixed here. */
export function environmentOf({ role, settings }: Program, spec?: ProcessSpec): IEnvVar[] {
  return settings.flatMap((setting): IEnvVar[] => {
    const { name } = setting;
    if (name === 'POSTGRES_URL') return [{ name, valueFrom: { secretKeyRef: { name: postgresSecret, key: role } } }];
    if (name === spec?.portSetting) return [{ name, value: String(spec.defaultPort) }];
    if (name === spec?.portSetting.replace('PORT', 'HOST')) return [{ name, value: '0.0.0.0' }];
    const optional = isOptional(setting) ? { optional: true } : {};
    if (setting.secret || keptWithSecrets.includes(name))
      return [{ name, valueFrom: { secretKeyRef: { name: secretsName, key: name, ...optional } } }];
    if (!sharedSettings.includes(name)) return [];
    return [{ name, valueFrom: { configMapKeyRef: { name: settingsName, key: name, ...optional } } }];
  });
}

export const probe = (path: string, port: number, change: Partial<IProbe> = {}): IProbe => ({
  httpGet: { path, port },
  periodSeconds: 5,
  timeoutSeconds: 5,
  failureThreshold: 6,
  ...change,
});

type Resources = { readonly cpu: string; readonly memory: string; readonly memoryLimit: string };

/** A program has one thread for its own work: more than a core helps only the garbage collector and DuckDB. */
const container = (program: Program, resources: Resources, env: IEnvVar[]): IContainer => ({
  name: program.name,
  image: 'trialstream',
  args: [...program.args],
  env,
  resources: {
    requests: { cpu: resources.cpu, memory: resources.memory },
    limits: { memory: resources.memoryLimit },
  },
  securityContext: {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  },
  volumeMounts: [{ name: 'scratch', mountPath: '/tmp' }],
});

type PodSpec = NonNullable<IPodTemplateSpec['spec']>;

export const podSpec = (containers: IContainer[], change: Partial<PodSpec>): PodSpec => ({
  automountServiceAccountToken: false,
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 1000,
    fsGroup: 1000,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  containers,
  volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '2Gi' } }],
  ...change,
});

/** Labels by which everything finds a program's pods: its folder, which is its name everywhere. */
export const labelsOf = (name: string): Record<string, string> => ({
  'app.kubernetes.io/name': name,
  'app.kubernetes.io/part-of': 'trialstream',
});

/** A process that runs for ever, with the probes of its operations or HTTP port. */
export function processTemplate(spec: ProcessSpec, settings: ProcessSettings, resources: Resources): IPodTemplateSpec {
  const program: Program = {
    name: spec.name,
    role: spec.role,
    args: ['node', ...nodeCommandOf(spec)],
    settings: settings.settings,
  };
  const port = spec.defaultPort;
  const isService = spec.portSetting === 'HTTP_PORT';
  return {
    metadata: {
      labels: labelsOf(spec.name),
      annotations: {
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': String(port),
        'prometheus.io/path': '/metrics',
      },
    },
    spec: podSpec(
      [
        {
          ...container(program, resources, environmentOf(program, spec)),
          ports: [{ name: 'http', containerPort: port }],
          startupProbe: probe('/healthz', port, { failureThreshold: 24 }),
          livenessProbe: probe('/healthz', port),
          readinessProbe: probe('/readyz', port, { failureThreshold: 2 }),
          // Requests that were on their way to a pod that stops still reach it.
          ...(isService ? { lifecycle: { preStop: { sleep: { seconds: 5 } } } } : {}),
        },
      ],
      {
        // The pause before a service stops, the deadline of the process for draining (20 s), and a little more.
        terminationGracePeriodSeconds: 35,
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'topology.kubernetes.io/zone',
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchLabels: labelsOf(spec.name) },
          },
        ],
      },
    ),
  };
}

/** A program that ends: it is started again when it fails. */
export function jobTemplate(program: Program, resources: Resources): IPodTemplateSpec {
  return {
    metadata: { labels: labelsOf(program.name) },
    spec: podSpec([container(program, resources, environmentOf(program))], { restartPolicy: 'OnFailure' }),
  };
}
