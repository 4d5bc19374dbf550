// The versions of the policy in memory: read again and again, and kept while Postgres is away.
import type { StoredPolicyVersion } from '#domain/definitions/policy.ts';
import { describeError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { createRepeater } from '#platform/process/repeater.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import { listPolicies } from '#producers/definition-store/policy-rows.ts';

export type PolicyVersions = {
  /** The latest version in production, or null while there is none. */
  readonly production: StoredPolicyVersion | null;
  find(policyVersionId: string): StoredPolicyVersion | null;
  /** Whether the id is a version of another policy, which other services deliver. */
  isOfAnother(policyVersionId: string): boolean;
  /** Versions that may be asked for: in production, or named by a variant of a running experiment. */
  readonly live: readonly StoredPolicyVersion[];
};

export type PolicyDirectory = {
  start(): Promise<void>;
  current(): PolicyVersions;
  /** Reads again now. @throws when Postgres cannot be asked. */
  lookAgain(): Promise<void>;
  isFresh(): boolean;
  [Symbol.asyncDispose](): Promise<void>;
};

/** `mine` are the versions of the policy, `others` the ids of all other policies' versions, `running` the ids that variants name. */
export function toPolicyVersions(
  mine: readonly StoredPolicyVersion[],
  others: ReadonlySet<string>,
  running: ReadonlySet<string>,
): PolicyVersions {
  const byId = new Map<string, StoredPolicyVersion>(mine.map((version) => [version.policyVersionId, version]));
  const production = mine.findLast(({ status }) => status === 'production') ?? null;
  return {
    production,
    find: (id) => byId.get(id.toLowerCase()) ?? null,
    isOfAnother: (id) => others.has(id.toLowerCase()),
    live: mine.filter((version) => version === production || running.has(version.policyVersionId)),
  };
}

const runningQuery = `SELECT DISTINCT lower(v.config ->> 'policy_version_id') AS id FROM exp.variants v
  JOIN exp.experiments e ON e.id = v.experiment_id
  WHERE e.status = 'running' AND v.config ? 'policy_version_id'`;

export function createPolicyDirectory(options: {
  pool: Pool;
  policyName: string;
  refreshIntervalMs: number;
  log: Logger;
  /** Called after each successful reading. */
  onRead?: (versions: PolicyVersions) => void;
}): PolicyDirectory {
  const { pool, policyName, log } = options;
  let versions: PolicyVersions = toPolicyVersions([], new Set(), new Set());
  let fresh = false;
  let reading: Promise<void> | null = null;

  const read = async (): Promise<void> => {
    const [policies, running] = await Promise.all([listPolicies(pool), pool.query<{ id: string }>(runningQuery)]);
    const others = policies.filter(({ name }) => name !== policyName).flatMap((policy) => policy.versions);
    versions = toPolicyVersions(
      policies.find(({ name }) => name === policyName)?.versions ?? [],
      new Set(others.map(({ policyVersionId }) => policyVersionId)),
      new Set(running.rows.map(({ id }) => id)),
    );
    fresh = true;
    options.onRead?.(versions);
  };
  const lookAgain = (): Promise<void> => {
    reading ??= read().finally(() => {
      reading = null;
    });
    return reading;
  };
  const refresh = async (): Promise<void> => {
    const wasFresh = fresh;
    try {
      await lookAgain();
      if (!wasFresh) log.info('policy versions are fresh again');
    } catch (error) {
      fresh = false;
      if (wasFresh) {
        log.warn({ cause: describeError(error) }, 'policy versions cannot be read; the last known ones stay');
      }
    }
  };
  const repeater = createRepeater(refresh, options.refreshIntervalMs);
  return {
    start: async () => {
      await lookAgain();
      repeater.start();
    },
    current: () => versions,
    lookAgain,
    isFresh: () => fresh,
    [Symbol.asyncDispose]: async () => {
      repeater.stop();
      await reading?.catch(() => undefined);
    },
  };
}
