// Registers the rule-based planner as a model version in MLflow, so that the baseline obeys the same rule as every other policy.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { registerModelVersion } from '#platform/mlflow/model-registration.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';

export const baselineModelName = 'planner-rule-based';

const planningFolder = fileURLToPath(new URL('../../domain/planning', import.meta.url));
const digestTag = 'source_digest';

/** The planner's source files by name, as they are in this release. */
async function readPlannerSources(): Promise<Record<string, string>> {
  const names = (await readdir(planningFolder))
    .filter((name) => name.endsWith('.ts') && !/\.test\.ts$|-samples\.ts$|-arbitraries\.ts$/.test(name))
    .sort();
  const entries = await Promise.all(
    names.map(async (name) => [name, await readFile(`${planningFolder}/${name}`, 'utf8')] as const),
  );
  return Object.fromEntries(entries);
}

/** Registers a version when the planner differs from every registered one; else gives the version that it is. */
export async function registerBaseline(
  client: MlflowClient,
  modelName: string = baselineModelName,
): Promise<{ readonly version: number; readonly isNew: boolean }> {
  const sources = await readPlannerSources();
  const digest = createHash('sha256').update(JSON.stringify(sources)).digest('hex');
  const known = (await createModelRegistry(client).listVersions(modelName))?.find(
    ({ tags }) => tags[digestTag] === digest,
  );
  if (known !== undefined) return { version: known.version, isNew: false };
  const card = {
    planner: 'rule-based',
    entry: 'rule-based-planner.ts',
    runtime: 'TypeScript: the reference workload runs domain/planning of this release',
    source_digest: digest,
  };
  const version = await registerModelVersion(client, {
    modelName,
    description: 'The deterministic meal planner without a model: what every learned planner is compared with',
    mlflowExperiment: 'trialstream',
    files: {
      'planner.json': `${JSON.stringify(card, null, 2)}\n`,
      ...Object.fromEntries(Object.entries(sources).map(([name, text]) => [`source/${name}`, text])),
    },
    tags: { [digestTag]: digest, kind: 'rule-based' },
  });
  return { version, isNew: true };
}
