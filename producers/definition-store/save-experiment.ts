// Writes one version of a definition with everything that belongs to it: history, audit, outbox and the notification.
import type { DefinitionChange } from '#domain/experiment/definition-diff.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { toDefinitionDocument } from './definition-document.ts';
import { type Connection, experimentColumns, toExperimentColumns } from './definition-rows.ts';

/** Postgres channel on which every committed change of a definition is announced; the payload is the experiment id. */
export const definitionsChannel = 'exp_definitions';

export type ChangeAuthor = { readonly actor: string; readonly reason: string };

const jsonColumns = new Set(['targeting', 'layer', 'holdout', 'forced_variants', 'metrics', 'analysis', 'ramp']);
const placeholders = experimentColumns.map(
  (column, index) => `$${index + 1}${jsonColumns.has(column) ? '::jsonb' : ''}`,
);
const insertSql = `INSERT INTO exp.experiments (${experimentColumns.join(', ')}) VALUES (${placeholders.join(', ')})`;
const versionPlaceholder = experimentColumns.length + 1;
const updateSql = `UPDATE exp.experiments
  SET (${experimentColumns.slice(1).join(', ')}, updated_at) = (${placeholders.slice(1).join(', ')}, now())
  WHERE id = $1 AND version = $${versionPlaceholder}`;

async function saveVariants(tx: Connection, experiment: Experiment): Promise<void> {
  const { experimentId, variants } = experiment;
  await tx.query('DELETE FROM exp.variants WHERE experiment_id = $1 AND NOT id = ANY($2::uuid[])', [
    experimentId,
    variants.map(({ variantId }) => variantId),
  ]);
  // Out of the way first: positions and the control are unique at every moment, also while they are exchanged.
  await tx.query('UPDATE exp.variants SET position = position + 1000, is_control = false WHERE experiment_id = $1', [
    experimentId,
  ]);
  await tx.query(
    `INSERT INTO exp.variants (id, experiment_id, name, allocation, config, is_control, position)
     SELECT id, $1, name, allocation, config, is_control, position - 1
     FROM unnest($2::uuid[], $3::text[], $4::integer[], $5::jsonb[], $6::boolean[]) WITH ORDINALITY
       AS wanted (id, name, allocation, config, is_control, position)
     ON CONFLICT (id) DO UPDATE SET allocation = excluded.allocation, config = excluded.config,
       is_control = excluded.is_control, position = excluded.position`,
    [
      experimentId,
      variants.map(({ variantId }) => variantId),
      variants.map(({ name }) => name),
      variants.map(({ allocation }) => allocation),
      variants.map(({ config }) => JSON.stringify(config)),
      variants.map(({ isControl }) => isControl),
    ],
  );
}

/** Whoever was a test unit once has met a variant that nobody randomized: results leave it out, also when it is not named any more. */
async function excludeTestUnits(tx: Connection, { experimentId, status, forcedVariants }: Experiment): Promise<void> {
  const unitIds = Object.keys(forcedVariants);
  if (status === 'draft' || unitIds.length === 0) return;
  await tx.query(
    `INSERT INTO exp.excluded_units (experiment_id, unit_id, reason) SELECT $1, unit_id, 'forced' FROM unnest($2::text[]) AS u (unit_id)
     ON CONFLICT DO NOTHING`,
    [experimentId, unitIds],
  );
}

/**
 * Saves `next` in the caller's transaction. `current` is what it was planned from, or null for a new iteration.
 * Returns false, with nothing written, when the stored version is not that of `current` any more.
 */
export async function saveExperiment(
  tx: Connection,
  change: {
    readonly current: Experiment | null;
    readonly next: Experiment;
    readonly action: string;
    readonly changes: readonly DefinitionChange[];
    readonly author: ChangeAuthor;
  },
): Promise<boolean> {
  const { current, next, action, changes, author } = change;
  if (current === null) {
    await tx.query(insertSql, toExperimentColumns(next));
  } else {
    const { rowCount } = await tx.query(updateSql, [...toExperimentColumns(next), current.version]);
    if (rowCount !== 1) return false;
  }
  if (current === null || changes.some(({ path }) => path.startsWith('variants'))) await saveVariants(tx, next);
  await excludeTestUnits(tx, next);
  await tx.query(
    `INSERT INTO exp.experiment_versions (experiment_id, version, changed_by, reason, diff, definition)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [
      next.experimentId,
      next.version,
      author.actor,
      author.reason,
      JSON.stringify(changes),
      JSON.stringify(toDefinitionDocument(next)),
    ],
  );
  await tx.query('INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES ($1, $2, $3, $4)', [
    author.actor,
    action,
    `experiment/${next.experimentKey}/${next.iteration}`,
    JSON.stringify({ version: next.version, reason: author.reason, changes }),
  ]);
  await tx.query('INSERT INTO exp.definition_outbox (experiment_id) VALUES ($1)', [next.experimentId]);
  await tx.query('SELECT pg_notify($1, $2)', [definitionsChannel, next.experimentId]);
  return true;
}
