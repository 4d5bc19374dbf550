// Reads what is stored about a unit: its assignments in every iteration, what changed since each, and its identities.
import { z } from 'zod';
import { sql, type TypedPool } from '#platform/postgres/typed-pool.ts';

const unitAssignment = z.object({
  experiment_id: z.string(),
  experiment_key: z.string(),
  iteration: z.number(),
  status: z.string(),
  serving: z.string(),
  variant_id: z.string(),
  variant_name: z.string(),
  hash_bucket: z.number(),
  experiment_version: z.number(),
  probability: z.number(),
  enrolment_share: z.number(),
  source: z.enum(['hashed', 'forced', 'imported', 'inherited']),
  assigned_at: z.date(),
});
export type UnitAssignment = z.infer<typeof unitAssignment>;

const experimentChange = z.object({
  experiment_id: z.string(),
  version: z.number(),
  changed_at: z.date(),
  reason: z.string(),
  diff: z.unknown(),
});
export type ExperimentChange = z.infer<typeof experimentChange>;

const unitLink = z.object({ unit_id: z.string(), anonymous_unit_id: z.string(), linked_at: z.date() });
export type UnitLink = z.infer<typeof unitLink>;

export type UnitReader = {
  /** The latest first. */
  listAssignments(unitType: string, unitId: string): Promise<readonly UnitAssignment[]>;
  findAssignment(experimentId: string, unitId: string): Promise<UnitAssignment | null>;
  /** What happened to the experiments of these assignments after them, oldest first. */
  listChangesSince(assignments: readonly UnitAssignment[]): Promise<readonly ExperimentChange[]>;
  listLinks(unitType: string, unitId: string): Promise<readonly UnitLink[]>;
};

const select = sql.fragment`SELECT a.experiment_id, x.key AS experiment_key, x.iteration, x.status, x.serving, a.variant_id,
    v.name AS variant_name, a.hash_bucket, a.experiment_version, a.probability, a.enrolment_share, a.source, a.assigned_at
  FROM exp.assignments a
  JOIN exp.experiments x ON x.id = a.experiment_id
  JOIN exp.variants v ON v.id = a.variant_id`;

export function createUnitReader(pool: Pick<TypedPool, 'any' | 'maybeOne'>): UnitReader {
  return {
    listAssignments: (unitType, unitId) =>
      pool.any(sql.type(unitAssignment)`${select}
        WHERE a.unit_id = ${unitId} AND a.unit_type = ${unitType} ORDER BY a.assigned_at DESC, x.key, x.iteration DESC`),
    findAssignment: (experimentId, unitId) =>
      pool.maybeOne(sql.type(unitAssignment)`${select}
        WHERE a.experiment_id = ${experimentId} AND a.unit_id = ${unitId}`),
    listChangesSince: async (assignments) => {
      if (assignments.length === 0) return [];
      const assigned = sql.unnest(
        assignments.map((row) => [row.experiment_id, row.experiment_version]),
        ['uuid', 'int4'],
      );
      return pool.any(sql.type(experimentChange)`
        SELECT c.experiment_id, c.version, c.changed_at, c.reason, c.diff
        FROM ${assigned} AS assigned (experiment_id, version)
        JOIN exp.experiment_versions c ON c.experiment_id = assigned.experiment_id AND c.version > assigned.version
        ORDER BY c.experiment_id, c.version`);
    },
    listLinks: (unitType, unitId) =>
      pool.any(sql.type(unitLink)`
        SELECT unit_id, anonymous_unit_id, linked_at FROM exp.unit_links
        WHERE unit_type = ${unitType} AND ${unitId} IN (unit_id, anonymous_unit_id)
        ORDER BY linked_at, unit_id, anonymous_unit_id`),
  };
}
