// exp.assignment_outbox to exp.assignments.v1: each row becomes the assignment as it is now, or a tombstone when it is gone.
import type { AssignmentRecord } from '#schemas/generated/records.ts';
import { createOutboxTable, type Outbox } from './outbox.ts';

export type AssignmentEncoder = (record: AssignmentRecord) => Buffer;

type OutboxRow = {
  id: bigint;
  experiment_id: string;
  unit_id: string;
  experiment_key: string | null;
  unit_type: string;
  variant_id: string;
  variant_name: string;
  hash_bucket: number;
  experiment_version: number;
  probability: number;
  enrolment_share: number;
  source: string;
  assigned_at: Date;
};

export const assignmentRecordKey = (experimentId: string, unitId: string): string => `${experimentId}:${unitId}`;

function toAssignmentRecord(row: OutboxRow, experimentKey: string): AssignmentRecord {
  return {
    experiment_id: row.experiment_id,
    experiment_key: experimentKey,
    unit_type: row.unit_type,
    unit_id: row.unit_id,
    variant_id: row.variant_id,
    variant_name: row.variant_name,
    hash_bucket: row.hash_bucket,
    experiment_version: row.experiment_version,
    probability: row.probability,
    enrolment_share: row.enrolment_share,
    source: row.source,
    assigned_at: row.assigned_at.getTime(),
    revision: Number(row.id),
  };
}

/**
 * The outbox of assignments. A record's revision is the outbox id, which grows with every change of one assignment: the id is
 * drawn while the assignment row is locked. `encoder` may fail while the registry is away; the rows then wait.
 */
export function createAssignmentOutbox(options: { topic: string; encoder: () => Promise<AssignmentEncoder> }): Outbox {
  const table = createOutboxTable('assignments', 'exp.assignment_outbox');
  return {
    ...table,
    purge: async (connection, limit) => {
      // Rows of erased units hold an id that must go: they stay for as long only as a relay that lost its lock may need them.
      const { rowCount } = await connection.query(
        `DELETE FROM exp.assignment_outbox WHERE id IN (SELECT id FROM exp.assignment_outbox
           WHERE kind = 'tombstone' AND published_at < now() - interval '10 minutes' LIMIT $1)`,
        [limit],
      );
      return Math.max(rowCount ?? 0, await table.purge(connection, limit));
    },
    lockId: 1,
    topic: options.topic,
    readBatch: async (connection, limit) => {
      const { rows } = await connection.query<OutboxRow>(
        `SELECT waiting.id, waiting.experiment_id, waiting.unit_id, x.key AS experiment_key, a.unit_type, a.variant_id,
           v.name AS variant_name, a.hash_bucket, a.experiment_version, a.probability, a.enrolment_share, a.source, a.assigned_at
         FROM (SELECT id, experiment_id, unit_id FROM exp.assignment_outbox
           WHERE published_at IS NULL ORDER BY id LIMIT $1) AS waiting
         LEFT JOIN exp.assignments a ON a.experiment_id = waiting.experiment_id AND a.unit_id = waiting.unit_id
         LEFT JOIN exp.experiments x ON x.id = a.experiment_id
         LEFT JOIN exp.variants v ON v.id = a.variant_id
         ORDER BY waiting.id`,
        [limit],
      );
      if (rows.length === 0) return { ids: [], records: [] };
      const encode = await options.encoder();
      return {
        ids: rows.map(({ id }) => id),
        records: rows.map((row) => ({
          key: assignmentRecordKey(row.experiment_id, row.unit_id),
          value: row.experiment_key === null ? null : encode(toAssignmentRecord(row, row.experiment_key)),
        })),
      };
    },
    repeat: async (connection, ids) => {
      // The kind says why a row was written; what is published for it is read from the assignment.
      await connection.query(
        `INSERT INTO exp.assignment_outbox (experiment_id, unit_id)
         SELECT DISTINCT experiment_id, unit_id FROM exp.assignment_outbox WHERE id = ANY($1::bigint[])`,
        [ids],
      );
    },
  };
}
