// Reads what is stored about a unit: its assignments in every iteration, what changed since each, and its identities.
import type { AssignmentSource } from '#domain/experiment/evaluate.ts';
import type { Pool } from '#platform/postgres/pool.ts';

export type UnitAssignment = {
  readonly experiment_id: string;
  readonly experiment_key: string;
  readonly iteration: number;
  readonly status: string;
  readonly serving: string;
  readonly variant_id: string;
  readonly variant_name: string;
  readonly hash_bucket: number;
  readonly experiment_version: number;
  readonly probability: number;
  readonly enrolment_share: number;
  readonly source: AssignmentSource;
  readonly assigned_at: Date;
};

export type ExperimentChange = {
  readonly experiment_id: string;
  readonly version: number;
  readonly changed_at: Date;
  readonly reason: string;
  readonly diff: unknown;
};

export type UnitLink = { readonly unit_id: string; readonly anonymous_unit_id: string; readonly linked_at: Date };

export type UnitReader = {
  /** The latest first. */
  listAssignments(unitType: string, unitId: string): Promise<UnitAssignment[]>;
  findAssignment(experimentId: string, unitId: string): Promise<UnitAssignment | null>;
  /** What happened to the experiments of these assignments after them, oldest first. */
  listChangesSince(assignments: readonly UnitAssignment[]): Promise<ExperimentChange[]>;
  listLinks(unitType: string, unitId: string): Promise<UnitLink[]>;
};

const select = `SELECT a.experiment_id, x.key AS experiment_key, x.iteration, x.status, x.serving, a.variant_id,
    v.name AS variant_name, a.hash_bucket, a.experiment_version, a.probability, a.enrolment_share, a.source, a.assigned_at
  FROM exp.assignments a
  JOIN exp.experiments x ON x.id = a.experiment_id
  JOIN exp.variants v ON v.id = a.variant_id`;

export function createUnitReader(pool: Pick<Pool, 'query'>): UnitReader {
  return {
    listAssignments: async (unitType, unitId) => {
      const { rows } = await pool.query<UnitAssignment>(
        `${select} WHERE a.unit_id = $1 AND a.unit_type = $2 ORDER BY a.assigned_at DESC, x.key, x.iteration DESC`,
        [unitId, unitType],
      );
      return rows;
    },
    findAssignment: async (experimentId, unitId) => {
      const { rows } = await pool.query<UnitAssignment>(`${select} WHERE a.experiment_id = $1 AND a.unit_id = $2`, [
        experimentId,
        unitId,
      ]);
      return rows[0] ?? null;
    },
    listChangesSince: async (assignments) => {
      if (assignments.length === 0) return [];
      const { rows } = await pool.query<ExperimentChange>(
        `SELECT c.experiment_id, c.version, c.changed_at, c.reason, c.diff
         FROM unnest($1::uuid[], $2::integer[]) AS assigned (experiment_id, version)
         JOIN exp.experiment_versions c ON c.experiment_id = assigned.experiment_id AND c.version > assigned.version
         ORDER BY c.experiment_id, c.version`,
        [
          assignments.map(({ experiment_id }) => experiment_id),
          assignments.map(({ experiment_version }) => experiment_version),
        ],
      );
      return rows;
    },
    listLinks: async (unitType, unitId) => {
      const { rows } = await pool.query<UnitLink>(
        `SELECT unit_id, anonymous_unit_id, linked_at FROM exp.unit_links
         WHERE unit_type = $1 AND $2 IN (unit_id, anonymous_unit_id) ORDER BY linked_at, unit_id, anonymous_unit_id`,
        [unitType, unitId],
      );
      return rows;
    },
  };
}
