// Doctor's checks of what is stored: tables of coming days, retention, compaction, the erasure key, models of policies.

import type { StoredPolicyVersion } from '#domain/definitions/policy.ts';
import { erasureKeyFingerprint } from '#domain/erasure/pseudonymize-event.ts';
import { createModelStages } from '#platform/mlflow/model-stages.ts';
import { findModelProblem } from '#producers/definition-store/model-check.ts';
import { listPolicies } from '#producers/definition-store/policy-rows.ts';
import { findModelDifferences } from '#producers/promotion-store/align-models.ts';
import type { DoctorCheck, Finding } from './doctor.ts';

const needsPostgres = 'this needs Postgres: see its line';
/** The next days whose tables must be there, so that no flush has to make one. */
const daysAhead = 2;
/** Hours that ended longer ago should be one file each. */
const compactionObjectiveHours = 26;

export const checkEventDays: DoctorCheck = {
  name: 'event days',
  adviceWhenUnreachable: needsPostgres,
  run: async ({ pool }) => {
    const found = await pool.query<{ day: string }>(
      `SELECT day::date AS day FROM generate_series((now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date + $1::int,
         interval '1 day') AS d (day)
       WHERE to_regclass('exp.events_' || to_char(day, 'YYYYMMDD')) IS NULL ORDER BY 1`,
      [daysAhead],
    );
    const dropped = await pool.query<{ count: bigint }>('SELECT count(*) AS count FROM exp.dropped_event_days');
    const detail = `tables up to ${daysAhead} days ahead are there; retention has dropped ${dropped.rows[0]!.count} days`;
    if (found.rows.length === 0) return [{ state: 'ok', detail }];
    return [
      {
        state: 'warning',
        detail: `no tables yet for ${found.rows.map(({ day }) => day).join(', ')}: the first flush of the day makes them`,
        advice: 'run "npm run -s ops -- upkeep" every day (docs/runbooks/upkeep.md)',
      },
    ];
  },
};

export const checkCompaction: DoctorCheck = {
  name: 'compaction',
  adviceWhenUnreachable: needsPostgres,
  run: async (cluster) => {
    const found = await cluster.pool.query<{ hours: bigint; objects: bigint; unapplied: bigint }>(
      `SELECT count(DISTINCT (dt, hour)) FILTER (WHERE kind = 'segment') AS hours,
         count(*) FILTER (WHERE kind = 'segment') AS objects,
         count(*) FILTER (WHERE coalesce(erasures_applied_at, committed_at) <= (SELECT max(erased_at) FROM exp.erasures)) AS unapplied
       FROM exp.archive_manifest
       WHERE topic = $1 AND status = 'committed' AND row_count > 0
         AND (dt + make_interval(hours => hour + 1 + $2::int)) AT TIME ZONE 'UTC' <= now()`,
      [cluster.topicName('events'), compactionObjectiveHours],
    );
    const { hours, objects, unapplied } = found.rows[0]!;
    const advice = 'run "npm run -s ops -- archive compact" every hour (docs/runbooks/archive.md)';
    const findings: Omit<Finding, 'check'>[] = [];
    if (hours > 0n)
      findings.push({ state: 'warning', detail: `${hours} closed hours lie in ${objects} small objects`, advice });
    if (unapplied > 0n) {
      findings.push({
        state: 'warning',
        detail: `${unapplied} objects are older than the latest erasure and may hold erased units`,
        advice,
      });
    }
    return findings.length > 0
      ? findings
      : [{ state: 'ok', detail: 'every hour of yesterday and before is compacted' }];
  },
};

export const checkErasureKey: DoctorCheck = {
  name: 'erasure key',
  adviceWhenUnreachable: needsPostgres,
  run: async ({ pool, erasureKey }) => {
    const used = await pool.query<{ fingerprint: Buffer }>('SELECT fingerprint FROM exp.erasure_key');
    const erased = await pool.query<{ count: bigint }>('SELECT count(*) AS count FROM exp.erasures');
    const units = `${erased.rows[0]!.count} units erased`;
    const fingerprint = used.rows[0]?.fingerprint;
    if (erasureKey === undefined) {
      return [
        fingerprint === undefined
          ? { state: 'ok', detail: `${units}; no process has used a key yet` }
          : {
              state: 'warning',
              detail: `${units}; ERASURE_KEY is not set here, so it cannot be compared`,
              advice: 'set ERASURE_KEY to the key of the processes: retries, rebuilds and compaction need it',
            },
      ];
    }
    if (fingerprint === undefined || fingerprint.equals(erasureKeyFingerprint(erasureKey)))
      return [{ state: 'ok', detail: `${units}; the key is that of this database` }];
    return [
      {
        state: 'problem',
        detail: 'ERASURE_KEY is not the key that this database is used with',
        advice: 'find the key of the processes; with another one erased units would come back',
      },
    ];
  },
};

/** What to do about a policy version whose model is gone, by what it delivers. */
const adviceForMissing = {
  production: (version: StoredPolicyVersion) =>
    `it is in production: take it back with "ops promote roll-back", or promote another model version of ${version.policyName}; assignment goes on meanwhile`,
  candidate: (version: StoredPolicyVersion) =>
    `roll back its promotion if it has one ("ops promote status"), and promote another model version of ${version.policyName}`,
  retired: () => 'nothing delivers it any more; it cannot be promoted again, and lineage ends at it',
} satisfies Record<StoredPolicyVersion['status'], (version: StoredPolicyVersion) => string>;

export const checkModels: DoctorCheck = {
  name: 'models',
  adviceWhenUnreachable: needsPostgres,
  run: async ({ pool, models, mlflow }) => {
    const versions = (await listPolicies(pool)).flatMap((policy) => policy.versions);
    if (versions.length === 0) return [{ state: 'ok', detail: 'no policy names a model' }];
    if (models === null || mlflow === null) {
      return [{ state: 'ok', detail: `${versions.length} policy versions; MLFLOW_URL is not set, so not compared` }];
    }
    const problems = await Promise.all(
      versions.map(async (version) => ({ version, problem: await findModelProblem(models, version) })),
    );
    const found = problems.flatMap(({ version, problem }): Omit<Finding, 'check'>[] => {
      if (problem === null) return [];
      return problem.kind === 'missing'
        ? [{ state: 'problem', detail: problem.message, advice: adviceForMissing[version.status](version) }]
        : [
            {
              state: 'warning',
              detail: problem.message,
              advice: 'look at the MLflow server; assignment does not depend on it',
            },
          ];
    });
    if (found.some(({ state }) => state === 'warning')) return found;
    const differences = (await findModelDifferences(pool, createModelStages(mlflow))).map(
      (detail): Omit<Finding, 'check'> => ({
        state: 'problem',
        detail,
        advice:
          'run "ops promote check": it brings MLflow in line with Postgres, unless no policy ever had the model in production; then set the alias by hand',
      }),
    );
    if (found.length + differences.length > 0) return [...found, ...differences];
    return [
      {
        state: 'ok',
        detail: `${versions.length} policy versions name registered model versions, and the alias production agrees with Postgres`,
      },
    ];
  },
};
