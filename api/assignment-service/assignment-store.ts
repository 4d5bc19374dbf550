// Stored assignments: the port, and its implementation on exp.assignments where the first writer wins.
import type { StoredAssignment as Assignment } from '#domain/experiment/evaluate.ts';
import { asVariantId } from '#domain/experiment/ids.ts';
import { RetryableError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';

export type AssignmentKey = { readonly experimentId: string; readonly unitId: string };

/** What would be stored if nothing is stored yet. */
export type AssignmentCandidate = AssignmentKey &
  Assignment & {
    readonly unitType: string;
    readonly experimentVersion: number;
    /** ISO 8601 with a zone; the time of storing when absent. */
    readonly assignedAt?: string;
  };

/** A row of exp.assignments; rows never change. */
export type StoredRow = AssignmentKey & Assignment & { readonly experimentVersion: number };

/** A stored row, and whether this call stored it. */
export type StoreResult = { readonly stored: StoredRow; readonly isNew: boolean };

export type AssignmentStore = {
  /**
   * Stores the candidates whose key has no row yet, with their outbox rows, and returns the row of every key in the order of the
   * candidates. Of two candidates with one key the first one counts. The result is committed when it is returned.
   * @throws RetryableError when Postgres is away: the rows may or may not be there, and asking again is safe.
   */
  storeFirst(candidates: readonly AssignmentCandidate[]): Promise<StoreResult[]>;
  /** The rows of the keys in their order, null where there is none. */
  find(keys: readonly AssignmentKey[]): Promise<(StoredRow | null)[]>;
};

type AssignmentRow = {
  experiment_id: string;
  unit_id: string;
  variant_id: string;
  hash_bucket: number;
  experiment_version: number;
  probability: number;
  enrolment_share: number;
  source: Assignment['source'];
};

const storedColumns =
  'a.experiment_id, a.unit_id, a.variant_id, a.hash_bucket, a.experiment_version, a.probability, a.enrolment_share, a.source';

const findSql = `SELECT ${storedColumns}
  FROM unnest($1::uuid[], $2::text[]) AS wanted (experiment_id, unit_id)
  JOIN exp.assignments a ON a.experiment_id = wanted.experiment_id AND a.unit_id = wanted.unit_id`;

// One statement is one transaction: the rows, their outbox rows, and the rows that were there before. A key that another
// transaction stores at this moment is in neither part of the answer, because the statement's snapshot is older than its commit.
// Of new rows only the key comes back: the caller knows the rest.
const storeSql = `WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::smallint[], $6::integer[], $7::float8[], $8::float8[],
        $9::text[], $10::timestamptz[]) WITH ORDINALITY
      AS wanted (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share,
        source, assigned_at, position)
  ), added AS (
    INSERT INTO exp.assignments AS a (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability,
        enrolment_share, source, assigned_at)
    SELECT experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, source,
        coalesce(assigned_at, now())
    FROM wanted ORDER BY position
    ON CONFLICT DO NOTHING
    RETURNING a.experiment_id, a.unit_id
  ), announced AS (
    INSERT INTO exp.assignment_outbox (experiment_id, unit_id) SELECT experiment_id, unit_id FROM added
  )
  SELECT experiment_id, unit_id, NULL::uuid AS variant_id, NULL::smallint AS hash_bucket, NULL::integer AS experiment_version,
    NULL::float8 AS probability, NULL::float8 AS enrolment_share, NULL AS source, true AS is_new FROM added
  UNION ALL
  SELECT ${storedColumns}, false
  FROM wanted JOIN exp.assignments a ON a.experiment_id = wanted.experiment_id AND a.unit_id = wanted.unit_id`;

const maxAttempts = 5;

/** Text that names one assignment. */
export function keyText({ experimentId, unitId }: AssignmentKey): string {
  return `${experimentId}:${unitId}`;
}

function fromAssignmentRow(row: AssignmentRow): StoredRow {
  return {
    experimentId: row.experiment_id,
    unitId: row.unit_id,
    variantId: asVariantId(row.variant_id),
    bucket: row.hash_bucket,
    experimentVersion: row.experiment_version,
    probability: row.probability,
    enrolmentShare: row.enrolment_share,
    source: row.source,
  };
}

function toStoredRow(candidate: AssignmentCandidate): StoredRow {
  const { experimentId, unitId, variantId, bucket, experimentVersion, probability, enrolmentShare, source } = candidate;
  return { experimentId, unitId, variantId, bucket, experimentVersion, probability, enrolmentShare, source };
}

export function createPostgresAssignmentStore(pool: Pool): AssignmentStore {
  const readRows = async (keys: readonly AssignmentKey[]): Promise<StoredRow[]> => {
    const { rows } = await pool.query<AssignmentRow>({
      name: 'find-assignments',
      text: findSql,
      values: [keys.map(({ experimentId }) => experimentId), keys.map(({ unitId }) => unitId)],
    });
    return rows.map(fromAssignmentRow);
  };
  const insertRows = async (open: ReadonlyMap<string, AssignmentCandidate>): Promise<Map<string, StoreResult>> => {
    const candidates = [...open.values()];
    const { rows } = await pool.query<AssignmentRow & { is_new: boolean }>({
      name: 'store-assignments',
      text: storeSql,
      values: [
        candidates.map(({ experimentId }) => experimentId),
        candidates.map(({ unitId }) => unitId),
        candidates.map(({ unitType }) => unitType),
        candidates.map(({ variantId }) => variantId),
        candidates.map(({ bucket }) => bucket),
        candidates.map(({ experimentVersion }) => experimentVersion),
        candidates.map(({ probability }) => probability),
        candidates.map(({ enrolmentShare }) => enrolmentShare),
        candidates.map(({ source }) => source),
        candidates.map(({ assignedAt }) => assignedAt ?? null),
      ],
    });
    const results = new Map<string, StoreResult>();
    for (const row of rows) {
      const key = keyText({ experimentId: row.experiment_id, unitId: row.unit_id });
      const candidate = open.get(key);
      if (row.is_new && candidate !== undefined) results.set(key, { stored: toStoredRow(candidate), isNew: true });
      else results.set(key, { stored: fromAssignmentRow(row), isNew: false });
    }
    return results;
  };

  return {
    storeFirst: async (candidates) => {
      const firsts = new Map<string, AssignmentCandidate>();
      for (const candidate of candidates) {
        const key = keyText(candidate);
        if (!firsts.has(key)) firsts.set(key, candidate);
      }
      const results = new Map<string, StoreResult>();
      // Every instance inserts in the same order, so two batches with common keys wait for each other and cannot deadlock.
      let open = new Map([...firsts].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
      for (let attempt = 0; open.size > 0 && attempt < maxAttempts; attempt += 1) {
        for (const [key, result] of await insertRows(open)) results.set(key, result);
        open = new Map([...open].filter(([key]) => !results.has(key)));
        if (open.size === 0) break;
        // Stored by another writer while our statement ran: its commit is visible to a new statement.
        for (const stored of await readRows([...open.values()])) {
          results.set(keyText(stored), { stored, isNew: false });
        }
        open = new Map([...open].filter(([key]) => !results.has(key)));
      }
      if (open.size > 0) {
        throw new RetryableError('assignments were stored and erased again while they were read', {
          code: 'dependency-unavailable',
        });
      }
      return candidates.map((candidate, index) => {
        const key = keyText(candidate);
        const result = results.get(key)!;
        return result.isNew && firsts.get(key) !== candidates[index] ? { ...result, isNew: false } : result;
      });
    },
    find: async (keys) => {
      if (keys.length === 0) return [];
      const found = new Map((await readRows(keys)).map((stored) => [keyText(stored), stored]));
      return keys.map((key) => found.get(keyText(key)) ?? null);
    },
  };
}
