// Actions that the topic exp.guardrail-actions.v1 does not have yet: the relay publishes them as it does definitions.
import { createOutboxTable, type Outbox } from '#producers/assignment-publisher/outbox.ts';
import type { GuardrailActionRecord } from '#schemas/generated/records.ts';

type Row = {
  id: bigint;
  action_id: string;
  experiment_id: string;
  experiment_key: string;
  iteration: number;
  experiment_version: number;
  variant_id: string;
  variant_name: string;
  metric_name: string;
  evidence: { summary: string };
  created_at: Date;
};

export type GuardrailActionMessage = Omit<GuardrailActionRecord, 'evidence' | 'acted_at'> & {
  readonly evidence: object;
  readonly acted_at: string;
};

export const selectActions = `SELECT g.id, g.action_id, g.experiment_id, x.key AS experiment_key, x.iteration, g.experiment_version,
    g.variant_id, v.name AS variant_name, g.metric_name, g.evidence, g.created_at
  FROM exp.guardrail_actions g JOIN exp.experiments x ON x.id = g.experiment_id JOIN exp.variants v ON v.id = g.variant_id`;

/** An action as the webhook is told of it. */
export function toMessage({
  id: _id,
  evidence: { summary, ...evidence },
  created_at,
  ...row
}: Row): GuardrailActionMessage {
  return { ...row, evidence, summary, acted_at: created_at.toISOString() };
}

export type { Row as GuardrailActionSource };

export function createGuardrailOutbox(options: {
  topic: string;
  encoder: () => Promise<(record: GuardrailActionRecord) => Buffer>;
}): Outbox {
  return {
    ...createOutboxTable('guardrails', 'exp.guardrail_actions'),
    lockId: 3,
    topic: options.topic,
    readBatch: async (connection, limit) => {
      const { rows } = await connection.query<Row>(
        `${selectActions} WHERE g.published_at IS NULL ORDER BY g.id LIMIT $1`,
        [limit],
      );
      if (rows.length === 0) return { ids: [], records: [] };
      const encode = await options.encoder();
      return {
        ids: rows.map(({ id }) => id),
        records: rows.map((row) => {
          const { evidence, ...message } = toMessage(row);
          const record = { ...message, evidence: JSON.stringify(evidence), acted_at: row.created_at.getTime() };
          return { key: row.experiment_id, value: encode(record) };
        }),
      };
    },
    // The same actions again, under the same ids.
    repeat: async (connection, ids) => {
      await connection.query('UPDATE exp.guardrail_actions SET published_at = NULL WHERE id = ANY($1::bigint[])', [
        ids,
      ]);
    },
    // The ledger stays.
    purge: async () => 0,
  };
}
