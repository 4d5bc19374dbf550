// The manifests of the whole system as typed objects, file by file: `npm run generate` writes them to infra/kubernetes/base.
import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import type { ICronJob, IJob } from 'kubernetes-models/batch/v1';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { IService } from 'kubernetes-models/v1';
import { stringify } from 'yaml';
import { topics } from '#schemas/topics.ts';
import type { GeneratedFile } from '../generate/generated-file.ts';
import type { ProcessSettings } from '../generate/process-settings.ts';
import { inferencePort } from '../system/planner.ts';
import { type ProcessName, type ProcessSpec, processSpecs } from '../system/process-specs.ts';
import { inferenceDeployment, inferenceName, inferencePolicy } from './inference.ts';
import { jobTemplate, labelsOf, processTemplate, settingsName } from './pod.ts';

export type Manifest =
  | IDeployment
  | IService
  | IPodDisruptionBudget
  | IHorizontalPodAutoscaler
  | IScaledObject
  | IJob
  | ICronJob
  | INetworkPolicy;
export type ManifestFile = { readonly name: string; readonly manifests: readonly Manifest[] };

/** Where the numbers come from: docs/scaling.md. */
const memory = { memory: '256Mi', memoryLimit: '512Mi' } as const;
const resources = { cpu: '500m', ...memory } as const;
/** Compaction with DuckDB held at most 1.4 GB. */
const resourcesOfJobs = { cpu: '1', memory: '1Gi', memoryLimit: '2Gi' } as const;
const replicasOfService = { least: 2, most: 10 } as const;
/** Records behind, per member, above which KEDA adds one. */
const lagPerMember: Readonly<Record<(typeof topics.events.groups)[number], number>> = {
  'postgres-sink': 50_000,
  'parquet-archiver': 250_000,
  'metrics-aggregator': 50_000,
  'dataset-builder': 100_000,
};

const metadata = (name: string) => ({ name, labels: labelsOf(name) });
const selectorOf = (name: string) => ({ matchLabels: labelsOf(name) });
const isGroup = (name: ProcessName): name is (typeof topics.events.groups)[number] =>
  (topics.events.groups as readonly string[]).includes(name);

function deployment(spec: ProcessSpec, settings: ProcessSettings): IDeployment {
  const scaled = isGroup(spec.name) || spec.portSetting === 'HTTP_PORT';
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(spec.name),
    spec: {
      // Scalers set the number of the others; guardrail-monitor has one that leads and one that waits.
      ...(scaled ? {} : { replicas: spec.name === 'guardrail-monitor' ? 2 : 1 }),
      selector: selectorOf(spec.name),
      strategy: {
        type: 'RollingUpdate',
        // A group has at most one member per partition: a new one takes the place of an old one.
        rollingUpdate: isGroup(spec.name) ? { maxSurge: 0, maxUnavailable: 1 } : { maxSurge: 1, maxUnavailable: 0 },
      },
      template: processTemplate(spec, settings, spec.name === 'job-worker' ? resourcesOfJobs : resources),
    },
  };
}

const disruptionBudget = (name: string): IPodDisruptionBudget => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: metadata(name),
  spec: { maxUnavailable: 1, selector: selectorOf(name), unhealthyPodEvictionPolicy: 'AlwaysAllow' },
});

const service = ({ name, defaultPort }: Pick<ProcessSpec, 'defaultPort'> & { readonly name: string }): IService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: metadata(name),
  spec: { selector: labelsOf(name), ports: [{ name: 'http', port: defaultPort, targetPort: 'http' }] },
});

const autoscaler = (name: string): IHorizontalPodAutoscaler => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: metadata(name),
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
    minReplicas: replicasOfService.least,
    maxReplicas: replicasOfService.most,
    // Of the request, which is half a core: an instance is full at one.
    metrics: [
      { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 120 } } },
    ],
  },
});

/** Lag as Kafka knows it: members tell it every five seconds. Partitions that do not move although they are behind do not count. */
function lagScaler(group: keyof typeof lagPerMember): IScaledObject {
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: metadata(group),
    spec: {
      scaleTargetRef: { name: group },
      minReplicaCount: 1,
      maxReplicaCount: topics.events.partitions,
      pollingInterval: 15,
      cooldownPeriod: 300,
      advanced: {
        horizontalPodAutoscalerConfig: {
          // Each change of the members is a rebalance: go up in steps, and down slowly.
          behavior: {
            scaleUp: { policies: [{ type: 'Pods', value: 2, periodSeconds: 60 }] },
            scaleDown: { stabilizationWindowSeconds: 600, policies: [{ type: 'Pods', value: 1, periodSeconds: 120 }] },
          },
        },
      },
      triggers: [
        {
          type: 'kafka',
          metadata: {
            bootstrapServersFromEnv: 'KAFKA_BROKERS',
            consumerGroup: group,
            topic: topics.events.name,
            lagThreshold: String(lagPerMember[group]),
            offsetResetPolicy: 'earliest',
            excludePersistentLag: 'true',
            allowIdleConsumers: 'false',
          },
        },
      ],
    },
  };
}

/** Runs on its own: `kubectl delete job deploy` before each release, then apply; processes of a release wait for it by failing. */
const deployJob = (settings: ProcessSettings): IJob => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: metadata('deploy'),
  spec: {
    backoffLimit: 10,
    template: jobTemplate(
      { name: 'deploy', role: 'postgres', args: ['node', 'ops/main.ts', 'deploy'], settings: settings.settings },
      resources,
    ),
  },
});

const cronJob = (
  name: string,
  schedule: string,
  program: { role: string; args: readonly string[]; settings: ProcessSettings },
): ICronJob => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: metadata(name),
  spec: {
    schedule,
    timeZone: 'Etc/UTC',
    concurrencyPolicy: 'Forbid',
    jobTemplate: {
      spec: {
        backoffLimit: 2,
        template: jobTemplate({ ...program, name, settings: program.settings.settings }, resourcesOfJobs),
      },
    },
  },
});

/** Nobody reaches a pod, except the services over HTTP, and scrapers of metrics everything. */
const networkPolicies: readonly INetworkPolicy[] = [
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'nothing-comes-in', labels: labelsOf('nothing-comes-in') },
    spec: {
      podSelector: { matchLabels: { 'app.kubernetes.io/part-of': 'trialstream' } },
      policyTypes: ['Ingress'],
      ingress: [],
    },
  },
  ...processSpecs.map(
    ({ name, portSetting, defaultPort }): INetworkPolicy => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: metadata(name),
      spec: {
        podSelector: selectorOf(name),
        policyTypes: ['Ingress'],
        ingress: [
          {
            // Anybody may call a service, whose routes ask for a key; metrics are for the namespace with this label.
            ...(portSetting === 'HTTP_PORT'
              ? {}
              : { from: [{ namespaceSelector: { matchLabels: { 'trialstream/scrapes-metrics': 'true' } } }] }),
            ports: [{ port: defaultPort }],
          },
        ],
      },
    }),
  ),
];

export function listManifests(processes: readonly ProcessSettings[]): ManifestFile[] {
  const settingsOf = (name: string): ProcessSettings => {
    const found = processes.find((process) => process.name === name);
    if (found === undefined) throw new Error(`no settings of ${name}`);
    return found;
  };
  const ofProcesses = processSpecs.map(
    (spec): ManifestFile => ({
      name: spec.name,
      manifests: [
        deployment(spec, settingsOf(spec.name)),
        disruptionBudget(spec.name),
        ...(spec.portSetting === 'HTTP_PORT' ? [service(spec), autoscaler(spec.name)] : []),
        ...(isGroup(spec.name) ? [lagScaler(spec.name)] : []),
      ],
    }),
  );
  const ofJobs = [
    cronJob('upkeep', '17 2 * * *', {
      role: 'operator',
      args: ['node', 'ops/main.ts', 'upkeep'],
      settings: settingsOf('ops-upkeep'),
    }),
    cronJob('compaction', '7 * * * *', {
      role: 'parquet_archiver',
      args: ['node', 'workers/compaction/main.ts'],
      settings: settingsOf('compaction'),
    }),
  ];
  return [
    { name: 'deploy', manifests: [deployJob(settingsOf('ops-deploy'))] },
    ...ofProcesses,
    {
      name: inferenceName,
      manifests: [
        inferenceDeployment(settingsName),
        disruptionBudget(inferenceName),
        service({ name: inferenceName, defaultPort: inferencePort }),
      ],
    },
    { name: 'scheduled', manifests: ofJobs },
    { name: 'network', manifests: [...networkPolicies, inferencePolicy()] },
  ];
}

const header =
  '# Generated by "npm run generate" from infra/kubernetes/manifests.ts: change that, or patch it in an overlay.\n';

/** One YAML file per process, and the kustomization that lists them. */
export function generateKubernetes(processes: readonly ProcessSettings[]): GeneratedFile[] {
  const folder = 'infra/kubernetes/base';
  const files = listManifests(processes);
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: files.map(({ name }) => `${name}.yaml`),
  };
  const toText = (documents: readonly object[]): string =>
    header +
    documents.map((document) => stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
  return [
    { path: `${folder}/kustomization.yaml`, text: toText([kustomization]) },
    ...files.map(({ name, manifests }) => ({ path: `${folder}/${name}.yaml`, text: toText(manifests) })),
  ];
}
