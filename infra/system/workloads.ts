// The two workloads of `npm start`: a real A/B test replayed, and a small simulated meal planner, both through the services.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCatalogueFromSource } from '#domain/planning/catalogue.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import {
  type OpenBanditPlan,
  type OpenBanditResult,
  planOpenBandit,
  runOpenBandit,
} from '#producers/open-bandit/run-open-bandit.ts';
import { plannerExperiment } from '#producers/planner-traffic/planner-experiment.ts';
import { type PlannerTrafficResult, runPlannerTraffic } from '#producers/planner-traffic/run-planner-traffic.ts';
import { simulateWorld } from '#producers/planner-traffic/world.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { createHttpWorkloadPort } from '#producers/workload-client/http-workload-port.ts';
import type { ExperimentDefinition } from '#producers/workload-client/workload-port.ts';
import { repositoryRoot } from '../local/local-dir.ts';
import { StackError } from '../local/stack-error.ts';
import type { LocalAccess } from './local-access.ts';

export type WorkloadOptions = {
  assignmentUrl: string;
  ingestionUrl: string;
  access: LocalAccess;
  /** For the planner's domain tables. */
  pool: Pool;
  openBanditFile: string;
  planner: { seed: number; households: number; days: number };
  onProgress: (text: string) => void;
};

export type WorkloadResults = {
  readonly openBandit: OpenBanditPlan & OpenBanditResult;
  readonly planner: PlannerTrafficResult;
};

/** Creates the experiment, or finds it as it was, and sets it running. */
async function ensureRunning(baseUrl: string, apiKey: string, definition: ExperimentDefinition): Promise<void> {
  const request = async (path: string, body: unknown): Promise<{ version: number; status: string }> => {
    const answer = await fetch(`${baseUrl}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await answer.text();
    if (!answer.ok) throw new StackError(`POST ${path} was answered with ${answer.status}: ${text.slice(0, 500)}`);
    return JSON.parse(text) as { version: number; status: string };
  };
  const experiment = await request('/v1/experiments', definition);
  if (experiment.status === 'running') return;
  await request(`/v1/experiments/${definition.key}/transitions`, {
    to: 'running',
    expected_version: experiment.version,
    reason: 'npm start',
  });
}

/** Runs both. Idempotent: the same file and seed send the same event ids again. */
export async function runWorkloads(options: WorkloadOptions): Promise<WorkloadResults> {
  const { assignmentUrl, ingestionUrl, access, onProgress } = options;
  const port = createHttpWorkloadPort({
    assignmentUrl,
    ingestionUrl,
    apiKey: access.ingestKey,
    adminKey: access.adminKey,
  });
  const plan = await planOpenBandit(options.openBanditFile);
  await ensureRunning(assignmentUrl, access.adminKey, plan.definition);
  await ensureRunning(assignmentUrl, access.adminKey, plannerExperiment);
  const result = await runOpenBandit(plan, port, {
    onProgress: ({ step, done, total }) => onProgress(`${plan.experimentKey}: ${done} of ${total} ${step}`),
  });
  const recipes = JSON.parse(readFileSync(join(repositoryRoot, 'data', 'recipes.json'), 'utf8'));
  const world = simulateWorld({
    ...options.planner,
    start: '2026-01-05',
    catalogue: createCatalogueFromSource(recipes),
  });
  await writeDomainRows(options.pool, world.rows);
  const planner = await runPlannerTraffic(
    {
      world,
      effects: {},
      experiments: [plannerExperiment.key],
      onProgress: ({ step, done }) => onProgress(`planner: ${done} ${step}`),
    },
    port,
  );
  return { openBandit: { ...plan, ...result }, planner };
}
