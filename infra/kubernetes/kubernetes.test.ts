// The manifests against the schemas of Kubernetes and KEDA, and against our code: commands, settings, ports, probes, topics, roles.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import { Deployment } from 'kubernetes-models/apps/v1';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { CronJob, Job } from 'kubernetes-models/batch/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { type IEnvVar, type IPodTemplateSpec, Service } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { processRoles } from '#ops/deploy.ts';
import { parseSettings } from '#platform/config/settings.ts';
import { topics } from '#schemas/topics.ts';
import { listProcessSettings } from '../generate/process-settings.ts';
import { nodeCommandOf, processSpecs } from '../system/process-specs.ts';
import { labelsOf } from './pod.ts';

const root = join(import.meta.dirname, '..', '..');
const base = join(import.meta.dirname, 'base');
const example = join(import.meta.dirname, 'example');
const read = (path: string): string => readFileSync(path, 'utf8');

type Document = { apiVersion: string; kind: string; metadata: { name: string }; spec: never };
const documents = readdirSync(base)
  .filter((file) => file !== 'kustomization.yaml')
  .flatMap((file) => parseAllDocuments(read(join(base, file))).map((document) => document.toJS() as Document));

/** Each kind with the model that knows its schema. */
const models = [
  Deployment,
  Service,
  PodDisruptionBudget,
  HorizontalPodAutoscaler,
  ScaledObject,
  Job,
  CronJob,
  NetworkPolicy,
] as const;
function validate(document: Document): void {
  const Model = models.find(({ apiVersion, kind }) => apiVersion === document.apiVersion && kind === document.kind);
  if (Model === undefined) throw new Error(`no schema of ${document.apiVersion} ${document.kind}`);
  new Model(document as never).validate();
}

const find = <T>(kind: string, name: string): T | undefined =>
  documents.find((document) => document.kind === kind && document.metadata.name === name)?.spec as T | undefined;
const podOf = (kind: string, name: string): NonNullable<IPodTemplateSpec['spec']> => {
  const spec = find<{ template?: IPodTemplateSpec; jobTemplate?: { spec: { template: IPodTemplateSpec } } }>(
    kind,
    name,
  )!;
  return (spec.template ?? spec.jobTemplate!.spec.template).spec!;
};
/** Kind and name of everything with pods, and the name of its settings. */
const programs = [
  ...processSpecs.map(({ name }) => ({ kind: 'Deployment', name: name as string, settings: name as string })),
  { kind: 'Job', name: 'deploy', settings: 'ops-deploy' },
  { kind: 'CronJob', name: 'upkeep', settings: 'ops-upkeep' },
  { kind: 'CronJob', name: 'compaction', settings: 'compaction' },
];
const processes = await listProcessSettings(root);
const kustomization = parse(read(join(example, 'kustomization.yaml')));
const valuesOf = (file: string): Record<string, string> => ({ ...parseEnv(read(join(example, file))) }) as never;
/** What the example overlay makes of its files. */
const stores: Readonly<Record<string, Record<string, string>>> = {
  'trialstream-settings': valuesOf('settings.env'),
  'trialstream-secrets': valuesOf('secrets.env'),
  'trialstream-postgres': valuesOf('postgres.env'),
};

/** The environment that a container gets. @throws when a key that must be there is not. */
function resolve(env: readonly IEnvVar[]): Record<string, string> {
  const resolved: Record<string, string> = {};
  for (const { name, value, valueFrom } of env) {
    const from = valueFrom?.configMapKeyRef ?? valueFrom?.secretKeyRef;
    const found = from === undefined ? value : stores[from.name!]?.[from.key];
    if (found !== undefined) resolved[name] = found;
    else if (from?.optional !== true) throw new Error(`${name}: ${from?.name} has no ${from?.key}`);
  }
  return resolved;
}

describe('the schemas of Kubernetes and KEDA', () => {
  it.each(documents.map((document) => ({ document, title: `${document.kind} ${document.metadata.name}` })))(
    'accept $title',
    ({ document }) => validate(document),
  );

  it('refuse what a cluster would refuse', () => {
    const sink = documents.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'postgres-sink')!;
    const scaler = documents.find(({ kind }) => kind === 'ScaledObject')!;
    const without = (document: Document, field: string) => ({
      ...document,
      spec: { ...(document.spec as object), [field]: undefined },
    });
    expect(() => validate(without(sink, 'selector') as never)).toThrow('selector');
    expect(() => validate(without(scaler, 'triggers') as never)).toThrow('triggers');
    expect(() =>
      validate({ ...scaler, spec: { ...(scaler.spec as object), maxReplicaCount: 'twelve' } } as never),
    ).toThrow();
    expect(() => validate({ ...sink, kind: 'Deploymint' })).toThrow('no schema');
  });
});

describe('every program', () => {
  it.each(programs)('$name: its command is there', ({ kind, name }) => {
    const [container, ...others] = podOf(kind, name).containers;
    expect(others).toEqual([]);
    const [node, ...command] = container!.args!;
    expect(node).toBe('node');
    const [entry, ...rest] = command.filter((part) => !part.startsWith('--'));
    expect(existsSync(join(root, entry!))).toBe(true);
    const spec = processSpecs.find((candidate) => candidate.name === name);
    if (spec !== undefined) expect(command).toEqual(nodeCommandOf(spec));
    else if (entry === 'ops/main.ts')
      expect(
        ['ops/deploy-commands.ts', 'ops/upkeep/commands.ts'].map((file) => read(join(root, file))).join(),
      ).toContain(`.command('${rest[0]}')`);
  });

  it.each(programs)(
    '$name gets every required setting, and no name that it does not read',
    ({ kind, name, settings }) => {
      const program = processes.find((process) => process.name === settings)!;
      const env = resolve(podOf(kind, name).containers[0]!.env!);
      const parsed = parseSettings(program.schema, env);
      expect(parsed.ok ? [] : parsed.problems).toEqual([]);
      const known = program.settings.map((setting) => setting.name);
      expect(Object.keys(env).filter((variable) => !known.includes(variable))).toEqual([]);
    },
  );

  it.each(programs)(
    '$name logs in with its own role, and keeps secrets out of the manifest',
    ({ kind, name, settings }) => {
      const env = podOf(kind, name).containers[0]!.env!;
      const role = env.find((variable) => variable.name === 'POSTGRES_URL')!.valueFrom!.secretKeyRef!.key;
      expect(role === 'postgres' ? [name] : processRoles).toContain(role === 'postgres' ? 'deploy' : role);
      const spec = processSpecs.find((candidate) => candidate.name === name);
      if (spec !== undefined) expect(role).toBe(spec.role);
      const secret = processes
        .find((process) => process.name === settings)!
        .settings.filter((setting) => setting.secret);
      for (const variable of env)
        if (secret.some((setting) => setting.name === variable.name))
          expect(variable.valueFrom?.secretKeyRef).toBeDefined();
    },
  );

  it.each(programs)('$name has limits, no rights, and time to drain', ({ kind, name }) => {
    const pod = podOf(kind, name);
    const { resources, securityContext } = pod.containers[0]!;
    expect(resources!.limits!.memory).toBeDefined();
    expect(resources!.requests).toMatchObject({ cpu: expect.any(String), memory: expect.any(String) });
    expect(securityContext).toMatchObject({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true });
    if (kind === 'Deployment') expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(20 + 5);
  });
});

describe('every process', () => {
  const served = ['platform/process/operations-server.ts', 'api/operations-routes.ts'];

  it.each(processSpecs)('$name is asked at its own port, for paths that it serves', ({ name, defaultPort }) => {
    const { ports, startupProbe, livenessProbe, readinessProbe } = podOf('Deployment', name).containers[0]!;
    expect(ports).toEqual([{ name: 'http', containerPort: defaultPort }]);
    const asked = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe!.httpGet!);
    expect(asked.map(({ port }) => port)).toEqual([defaultPort, defaultPort, defaultPort]);
    expect(asked.map(({ path }) => path)).toEqual(['/healthz', '/healthz', '/readyz']);
    for (const file of served)
      for (const { path } of asked) expect(read(join(root, file)), file).toContain(`'${path}'`);
  });

  it.each(processSpecs)(
    '$name may lose one pod at a time, and lets nobody in but at its port',
    ({ name, defaultPort }) => {
      const selector = { matchLabels: labelsOf(name) };
      expect(find<object>('Deployment', name)).toMatchObject({
        selector,
        template: { metadata: { labels: labelsOf(name) } },
      });
      expect(find<object>('PodDisruptionBudget', name)).toMatchObject({ selector, maxUnavailable: 1 });
      expect(find<object>('NetworkPolicy', name)).toMatchObject({
        podSelector: selector,
        ingress: [{ ports: [{ port: defaultPort }] }],
      });
    },
  );

  it('has one scaler: lag for a group, processor time for a service, none for the workers', () => {
    for (const { name, portSetting } of processSpecs) {
      const isGroup = (topics.events.groups as readonly string[]).includes(name);
      const isService = portSetting === 'HTTP_PORT';
      expect(find('ScaledObject', name) !== undefined, name).toBe(isGroup);
      expect(find('HorizontalPodAutoscaler', name) !== undefined, name).toBe(isService);
      expect(find('Service', name) !== undefined, name).toBe(isService);
      expect(find<{ replicas?: number }>('Deployment', name)!.replicas).toBe(
        isGroup || isService ? undefined : name === 'guardrail-monitor' ? 2 : 1,
      );
    }
  });
});

describe('the inference process', () => {
  const name = 'planner-inference';
  const { containers, ...pod } = podOf('Deployment', name);
  const container = containers[0]!;

  it('is started with options that it has, and the settings of the example', () => {
    const options = read(join(root, 'training/planner_model/serving/options.py'));
    for (const option of container.args!.filter((part) => part.startsWith('--')))
      expect(options).toContain(`"${option}"`);
    expect(resolve(container.env!)).toMatchObject({ MLFLOW_URL: stores['trialstream-settings']!.MLFLOW_URL });
    expect(options).toContain('"MLFLOW_URL"');
  });

  it('is asked for paths that it serves, at the port to which the planner service sends', () => {
    const served = read(join(root, 'training/planner_model/serving/app.py'));
    const port = Number(new URL(stores['trialstream-settings']!.INFERENCE_URL!).port);
    const asked = [container.startupProbe, container.livenessProbe, container.readinessProbe].map((p) => p!.httpGet!);
    expect(asked.map(({ path }) => path)).toEqual(['/health/live', '/health/live', '/health/ready']);
    for (const probe of asked) {
      expect(probe.port).toBe(port);
      expect(served).toContain(`"${probe.path}"`);
    }
    expect(container.args).toEqual(['--host', '0.0.0.0', '--port', String(port)]);
    expect(find<object>('Service', name)).toMatchObject({ selector: labelsOf(name), ports: [{ port }] });
    expect(read(join(root, 'docker-compose.yml'))).toContain(`image: ${container.image}:local`);
  });

  it('lets in the planner service and scrapers only, has limits, no rights, and time to drain', () => {
    const policy = find<{ ingress: { from: unknown[] }[] }>('NetworkPolicy', name)!;
    expect(policy.ingress.map(({ from }) => from)).toEqual([
      [
        { podSelector: { matchLabels: labelsOf('planner-service') } },
        { namespaceSelector: { matchLabels: { 'trialstream/scrapes-metrics': 'true' } } },
      ],
    ]);
    expect(find<object>('PodDisruptionBudget', name)).toMatchObject({ maxUnavailable: 1 });
    expect(container.resources!.limits!.memory).toBeDefined();
    expect(container.securityContext).toMatchObject({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true });
    const drainSeconds = Number(
      /^DRAIN_SECONDS = (\d+)$/m.exec(read(join(root, 'training/planner_model/serving/serve.py')))![1],
    );
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + 5);
  });
});

describe('the scaler of a group', () => {
  type Spec = {
    scaleTargetRef: object;
    maxReplicaCount: number;
    triggers: { type: string; metadata: Record<string, string> }[];
  };

  it.each(topics.events.groups)(
    '%s follows the lag of its own group, with at most one member per partition',
    (group) => {
      const { scaleTargetRef, maxReplicaCount, triggers } = find<Spec>('ScaledObject', group)!;
      expect(scaleTargetRef).toEqual({ name: group });
      expect(maxReplicaCount).toBe(topics.events.partitions);
      expect(triggers).toHaveLength(1);
      expect(triggers[0]).toMatchObject({
        type: 'kafka',
        metadata: { consumerGroup: group, topic: topics.events.name, excludePersistentLag: 'true' },
      });
      const env = podOf('Deployment', group).containers[0]!.env!;
      expect(env.map(({ name }) => name)).toContain(triggers[0]!.metadata.bootstrapServersFromEnv);
    },
  );
});

describe('the example overlay', () => {
  it('builds on the base, which lists all its files', () => {
    expect(kustomization.resources).toEqual(['../base']);
    const listed = parse(read(join(base, 'kustomization.yaml'))).resources as string[];
    expect([...listed, 'kustomization.yaml'].sort()).toEqual(readdirSync(base).sort());
  });

  it('makes the ConfigMap and the Secrets that the pods ask for, of files that are there, and no real secret', () => {
    const made = [...kustomization.configMapGenerator, ...kustomization.secretGenerator] as {
      name: string;
      envs: string[];
    }[];
    expect(made.map(({ name }) => name).sort()).toEqual(Object.keys(stores).sort());
    for (const { envs } of made) for (const file of envs) expect(existsSync(join(example, file)), file).toBe(true);
    for (const store of ['trialstream-secrets', 'trialstream-postgres'])
      for (const [key, value] of Object.entries(stores[store]!)) expect(value, key).toContain('CHANGE_ME');
  });

  it('patches deployments that there are, with settings that they read', () => {
    for (const { target, patch } of kustomization.patches as {
      target: { kind: string; name: string };
      patch: string;
    }[]) {
      const known = processes.find(({ name }) => name === target.name)!.settings.map(({ name }) => name);
      expect(find(target.kind, target.name)).toBeDefined();
      for (const { path, value } of parse(patch) as { path: string; value: { name: string } }[]) {
        expect(path).toBe('/spec/template/spec/containers/0/env/-');
        expect(known).toContain(value.name);
      }
    }
  });

  it('names the image that every pod asks for', () => {
    const images = [...programs, { kind: 'Deployment', name: 'planner-inference' }].map(
      ({ kind, name }) => podOf(kind, name).containers[0]!.image,
    );
    expect(new Set(images)).toEqual(new Set(kustomization.images.map(({ name }: { name: string }) => name)));
  });
});
