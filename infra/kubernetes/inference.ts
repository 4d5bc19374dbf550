// The manifests of the inference process: Python, an image of its own, reached by the planner service only.
import { inferencePort } from '../system/planner.ts';
import type { Manifest } from './manifests.ts';
import { labelsOf, podSpec, probe } from './pod.ts';

export const inferenceName = 'planner-inference';
/** Built as docker-compose.yml says. */
const image = 'trialstream-planner-inference';

/** The caller adds what every process has: the budget of disruptions and the Service. */
export function inferenceDeployment(settingsName: string): Manifest {
  const labels = labelsOf(inferenceName);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: inferenceName, labels },
    spec: {
      // While there is none the rules plan: an environment with models in production has two, by a patch.
      replicas: 1,
      selector: { matchLabels: labels },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: {
          labels,
          annotations: {
            'prometheus.io/scrape': 'true',
            'prometheus.io/port': String(inferencePort),
            'prometheus.io/path': '/metrics',
          },
        },
        spec: podSpec(
          [
            {
              name: inferenceName,
              image,
              args: ['--host', '0.0.0.0', '--port', String(inferencePort)],
              env: [
                { name: 'MLFLOW_URL', valueFrom: { configMapKeyRef: { name: settingsName, key: 'MLFLOW_URL' } } },
                { name: 'OMP_NUM_THREADS', value: '1' },
                { name: 'HOME', value: '/tmp' },
              ],
              ports: [{ name: 'http', containerPort: inferencePort }],
              // For a small model. A large one needs its weights in memory, and room for them in the scratch volume.
              resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '2Gi' } },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [{ name: 'scratch', mountPath: '/tmp' }],
              // Importing the packages takes most of the start.
              startupProbe: probe('/health/live', inferencePort, { failureThreshold: 24 }),
              livenessProbe: probe('/health/live', inferencePort),
              readinessProbe: probe('/health/ready', inferencePort, { failureThreshold: 2 }),
              lifecycle: { preStop: { sleep: { seconds: 5 } } },
            },
          ],
          { terminationGracePeriodSeconds: 35 },
        ),
      },
    },
  };
}

/** Its routes ask for no key: only the planner service, and scrapers of metrics, may come in. */
export function inferencePolicy(): Manifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: inferenceName, labels: labelsOf(inferenceName) },
    spec: {
      podSelector: { matchLabels: labelsOf(inferenceName) },
      policyTypes: ['Ingress'],
      ingress: [
        {
          from: [
            { podSelector: { matchLabels: labelsOf('planner-service') } },
            { namespaceSelector: { matchLabels: { 'trialstream/scrapes-metrics': 'true' } } },
          ],
          ports: [{ port: inferencePort }],
        },
      ],
    },
  };
}
