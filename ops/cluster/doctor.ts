// Checks everything an operator would look at first, and says for each problem what to do about it.
import { describeError } from '#platform/errors.ts';
import type { MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import type { ModelRegistry } from '#platform/mlflow/model-registry.ts';
import { formatTable } from '../command-line/output.ts';
import type { ArchiveCluster } from './cluster.ts';
import { checkArchive, checkDeadLetters, checkGroups, checkOutbox } from './doctor-data-checks.ts';
import { checkJobs } from './doctor-job-checks.ts';
import { checkLineage } from './doctor-lineage-checks.ts';
import { checkKafka, checkMigrations, checkObjectStore, checkRegistry } from './doctor-service-checks.ts';
import { checkCompaction, checkErasureKey, checkEventDays, checkModels } from './doctor-store-checks.ts';

export type Finding = {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly detail: string;
  /** What to do; absent when all is well. */
  readonly advice?: string;
};

/** What doctor looks at. `models` and `mlflow` are null without an MLflow server. */
export type DoctorCluster = ArchiveCluster & {
  readonly models: ModelRegistry | null;
  readonly mlflow: MlflowClient | null;
  /** Undefined where no jobs are queued. */
  readonly redisUrl: string | undefined;
};

/** One aspect of the system: resolves with what was found, and rejects when it could not look. */
export type DoctorCheck = {
  readonly name: string;
  readonly adviceWhenUnreachable: string;
  run(cluster: DoctorCluster): Promise<Omit<Finding, 'check'>[]>;
};

const checks: readonly DoctorCheck[] = [
  checkKafka,
  checkRegistry,
  checkMigrations,
  checkObjectStore,
  checkGroups,
  checkOutbox,
  checkEventDays,
  checkArchive,
  checkCompaction,
  checkDeadLetters,
  checkErasureKey,
  checkJobs,
  checkModels,
  checkLineage,
];

/** A check that waits longer than this for a dependency says so. */
const checkDeadlineMs = 30_000;

async function runCheck(check: DoctorCheck, cluster: DoctorCluster): Promise<Finding[]> {
  let deadline: NodeJS.Timeout | undefined;
  try {
    const findings = await Promise.race([
      check.run(cluster),
      new Promise<never>((_, reject) => {
        deadline = setTimeout(() => reject(new Error(`no answer in ${checkDeadlineMs / 1000} s`)), checkDeadlineMs);
      }),
    ]);
    return findings.map((finding) => ({ check: check.name, ...finding }));
  } catch (error) {
    return [{ check: check.name, state: 'problem', detail: describeError(error), advice: check.adviceWhenUnreachable }];
  } finally {
    clearTimeout(deadline);
  }
}

/** Every finding, in the order of the checks; each check gives at least one. */
export async function runDoctor(cluster: DoctorCluster): Promise<Finding[]> {
  return (await Promise.all(checks.map((check) => runCheck(check, cluster)))).flat();
}

export function formatFindings(findings: readonly Finding[]): string {
  const table = formatTable(
    ['check', 'state', 'found'],
    findings.map(({ check, state, detail }) => [check, state, detail]),
  );
  const advice = findings
    .filter((finding) => finding.advice !== undefined)
    .map(({ check, advice }) => `${check}: ${advice}`);
  const summary = advice.length === 0 ? ['', 'all is well'] : ['', 'what to do', ...advice.map((text) => `  ${text}`)];
  return [table, ...summary].join('\n');
}
