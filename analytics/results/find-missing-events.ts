// Notices that stored events do not reach back to the first exposures, so that what is computed from events would be wrong.
import { type NotComputable, notComputable } from '#domain/statistics/result.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { createParameters, experimentReferenceSql, type UnitScope } from './unit-scope.ts';

/**
 * Days are removed oldest first, and the exposure is the oldest event of a unit that counts: when each first exposure is there, so
 * is everything after it. Null when nothing is missing.
 */
export async function findMissingEvents(tx: Connection, scope: UnitScope): Promise<NotComputable | null> {
  if (scope.firstDay === null) return null;
  const parameters = createParameters();
  const { rows } = await tx.query<{ missing: bigint; total: bigint }>(
    `WITH stored AS (
       SELECT DISTINCT e.unit_id, e.event_time FROM exp.events e
       WHERE e.event_date >= ${parameters.add(scope.firstDay)}::date AND e.unit_type = ${parameters.add(scope.unitType)}
         AND e.experiments @> ${experimentReferenceSql(scope, parameters)}
     )
     SELECT count(*) FILTER (WHERE s.unit_id IS NULL) AS missing, count(*) AS total
     FROM exp.first_exposures f LEFT JOIN stored s ON s.unit_id = f.unit_id AND s.event_time = f.first_exposed_at
     WHERE f.experiment_id = ${parameters.add(scope.experimentId)}`,
    parameters.values,
  );
  const { missing, total } = rows[0]!;
  if (missing === 0n) return null;
  return notComputable(
    'no-data',
    `${missing} of ${total} exposed units have no stored exposure: events of their days were removed from Postgres, or are still on their way`,
  );
}
