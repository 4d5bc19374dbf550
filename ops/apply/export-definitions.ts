// Writes the stored definitions back as YAML: the latest iteration of each experiment that is not archived, all policies and metrics.
import { toDefinitionYaml } from '#domain/definitions/to-yaml.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { FatalError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { listDefinitions } from '#producers/definition-store/definition-rows.ts';
import { listMetricBodies } from '#producers/definition-store/metric-rows.ts';
import { listPolicies } from '#producers/definition-store/policy-rows.ts';

/** @throws FatalError when `only` is not a part of a definition file. */
export async function exportDefinitions(pool: Pool, only?: string): Promise<string> {
  if (only !== undefined && !['experiments', 'policies', 'metrics'].includes(only)) {
    throw new FatalError(`--only takes experiments, policies or metrics, not ${only}`, { code: 'config-invalid' });
  }
  const has = (part: string): boolean => only === undefined || only === part;
  const policies = await listPolicies(pool);
  const latest = new Map<string, Experiment>();
  // Ordered by iteration: the last one stays.
  for (const { experiment } of await listDefinitions(pool)) latest.set(experiment.experimentKey, experiment);
  const experiments = [...latest.values()].filter(({ status }) => status !== 'archived');
  return toDefinitionYaml({
    policies,
    withPolicies: has('policies'),
    ...(has('metrics') ? { metrics: await listMetricBodies(pool) } : {}),
    ...(has('experiments') ? { experiments } : {}),
  });
}
