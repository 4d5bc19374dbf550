// The latch of a broken guardrail: what it stopped stays stopped until a person clears it.
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { Connection } from './definition-rows.ts';
import type { ChangeAuthor } from './save-experiment.ts';

/** Why the experiment may not go on, or null when no guardrail holds it. */
export async function findLatchRefusal(tx: Connection, experiment: Experiment): Promise<string | null> {
  const { rows } = await tx.query<{ metric_name: string; created_at: Date }>(
    'SELECT metric_name, created_at FROM exp.guardrail_actions WHERE experiment_id = $1 AND cleared_at IS NULL',
    [experiment.experimentId],
  );
  const [latch] = rows;
  if (latch === undefined) return null;
  return (
    `the guardrail ${latch.metric_name} stopped this experiment at ${latch.created_at.toISOString()}: look at its results, and clear it ` +
    `with \`ops guardrails clear ${experiment.experimentKey}\` if it is to go on`
  );
}

export type GuardrailActionRow = {
  action_id: string;
  experiment_key: string;
  iteration: number;
  variant_name: string;
  metric_name: string;
  evidence: Record<string, unknown>;
  created_at: Date;
  published_at: Date | null;
  webhook_delivered_at: Date | null;
  cleared_at: Date | null;
  cleared_by: string | null;
  cleared_because: string | null;
};

/** What guardrails did, the latest first; all experiments without a key. */
export async function listGuardrailActions(connection: Connection, key: string | null): Promise<GuardrailActionRow[]> {
  const { rows } = await connection.query<GuardrailActionRow>(
    `SELECT g.action_id, x.key AS experiment_key, x.iteration, v.name AS variant_name, g.metric_name, g.evidence, g.created_at,
       g.published_at, g.webhook_delivered_at, g.cleared_at, g.cleared_by, g.cleared_because
     FROM exp.guardrail_actions g JOIN exp.experiments x ON x.id = g.experiment_id JOIN exp.variants v ON v.id = g.variant_id
     WHERE $1::text IS NULL OR x.key = $1 OR x.id::text = $1 ORDER BY g.id DESC LIMIT 200`,
    [key],
  );
  return rows;
}

/** Opens the latch of an experiment; false when nothing holds it. The monitor looks at it again from the next second on. */
export async function clearGuardrail(tx: Connection, key: string, author: ChangeAuthor): Promise<boolean> {
  const { rows } = await tx.query<{ action_id: string; key: string; iteration: number }>(
    `UPDATE exp.guardrail_actions g SET cleared_at = now(), cleared_by = $2, cleared_because = $3 FROM exp.experiments x
     WHERE x.id = g.experiment_id AND (x.key = $1 OR x.id::text = $1) AND g.cleared_at IS NULL
     RETURNING g.action_id, x.key, x.iteration`,
    [key, author.actor, author.reason],
  );
  for (const row of rows) {
    await tx.query('INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES ($1, $2, $3, $4)', [
      author.actor,
      'guardrail.clear',
      `experiment/${row.key}/${row.iteration}`,
      JSON.stringify({ action_id: row.action_id, reason: author.reason }),
    ]);
  }
  return rows.length > 0;
}
