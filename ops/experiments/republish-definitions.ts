// Fills exp.definitions.v1 again from Postgres: every definition goes through the outbox once more.
import type { Connection } from '#producers/definition-store/definition-rows.ts';

/**
 * Puts every iteration into the outbox, oldest first, and returns how many. The relay of the assignment service publishes them;
 * readers keep the highest version, so a repetition changes nothing.
 */
export async function republishDefinitions(connection: Connection): Promise<number> {
  const { rowCount } = await connection.query(
    'INSERT INTO exp.definition_outbox (experiment_id) SELECT id FROM exp.experiments ORDER BY updated_at, id',
  );
  return rowCount ?? 0;
}
