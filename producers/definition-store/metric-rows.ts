// Metric definitions in exp.metric_definitions: reading them and bringing them to what a file says.
import { type DefinitionChange, diffDefinitions } from '#domain/experiment/definition-diff.ts';
import type { MetricBody } from '#domain/metrics/metric-body.ts';
import { type MetricDefinition, parseMetric } from '#domain/metrics/metric-definition.ts';
import { FatalError } from '#platform/errors.ts';
import type { Connection } from './definition-rows.ts';
import type { ChangeAuthor } from './save-experiment.ts';

/** Every stored definition as it was written, by name. */
export async function listMetricBodies(connection: Connection): Promise<MetricBody[]> {
  const { rows } = await connection.query<{ definition: MetricBody }>(
    'SELECT definition FROM exp.metric_definitions ORDER BY name',
  );
  return rows.map(({ definition }) => definition);
}

/** @throws FatalError when a stored definition is none: only `ops apply` writes them, after checking. */
export async function readMetricDefinitions(connection: Connection): Promise<Map<string, MetricDefinition>> {
  const definitions = new Map<string, MetricDefinition>();
  for (const body of await listMetricBodies(connection)) {
    const parsed = parseMetric(body);
    if (!parsed.ok) {
      const problems = parsed.problems.map(({ field, message }) => `${field}: ${message}`).join('; ');
      throw new FatalError(`the stored metric ${body.name} is invalid: ${problems}`, { code: 'unexpected' });
    }
    definitions.set(body.name, parsed.metric);
  }
  return definitions;
}

export type MetricChange = {
  readonly body: MetricBody;
  readonly action: 'create' | 'change' | 'unchanged';
  readonly changes: readonly DefinitionChange[];
  /** Keys of running and paused experiments whose results change with it. */
  readonly usedBy: readonly string[];
};

/** Brings each definition to what the body says, in the caller's transaction, with an audit entry per change. */
export async function applyMetrics(
  tx: Connection,
  bodies: readonly MetricBody[],
  author: ChangeAuthor,
): Promise<MetricChange[]> {
  if (bodies.length === 0) return [];
  // One application at a time: two of the same new name must not meet at the primary key.
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('metric-definitions', 0))");
  const stored = new Map((await listMetricBodies(tx)).map((body) => [body.name, body]));
  const results: MetricChange[] = [];
  for (const body of bodies) {
    const current = stored.get(body.name);
    const changes = current === undefined ? [] : diffDefinitions(current, body);
    const action = current === undefined ? 'create' : changes.length === 0 ? 'unchanged' : 'change';
    results.push({ body, action, changes, usedBy: action === 'change' ? await listUsers(tx, body.name) : [] });
    if (action === 'unchanged') continue;
    await tx.query(
      `INSERT INTO exp.metric_definitions AS m (name, definition) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, version = m.version + 1, updated_at = now()`,
      [body.name, JSON.stringify(body)],
    );
    await tx.query('INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES ($1, $2, $3, $4)', [
      author.actor,
      `metric.${action}`,
      `metric/${body.name}`,
      JSON.stringify({ reason: author.reason, changes, definition: body }),
    ]);
  }
  return results;
}

async function listUsers(tx: Connection, name: string): Promise<string[]> {
  const { rows } = await tx.query<{ key: string }>(
    `SELECT DISTINCT key FROM exp.experiments WHERE status IN ('running', 'paused') AND (
       metrics ->> 'primary' = $1 OR metrics -> 'secondary' ? $1
       OR metrics -> 'guardrails' @> jsonb_build_array(jsonb_build_object('metric', $1::text))) ORDER BY key`,
    [name],
  );
  return rows.map(({ key }) => key);
}
