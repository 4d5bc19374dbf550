// exp.definition_outbox to exp.definitions.v1: each changed experiment becomes one record with its whole present definition.
import { toDefinitionDocument } from '#producers/definition-store/definition-document.ts';
import { listDefinitionsById } from '#producers/definition-store/definition-rows.ts';
import type { DefinitionRecord } from '#schemas/generated/records.ts';
import { createOutboxTable, type Outbox } from './outbox.ts';

export type DefinitionEncoder = (record: DefinitionRecord) => Buffer;

/** The outbox of definitions. Several changes of one experiment that wait together are one record, with the last one's revision. */
export function createDefinitionOutbox(options: { topic: string; encoder: () => Promise<DefinitionEncoder> }): Outbox {
  return {
    ...createOutboxTable('definitions', 'exp.definition_outbox'),
    lockId: 2,
    topic: options.topic,
    readBatch: async (connection, limit) => {
      const { rows } = await connection.query<{ id: bigint; experiment_id: string }>(
        'SELECT id, experiment_id FROM exp.definition_outbox WHERE published_at IS NULL ORDER BY id LIMIT $1',
        [limit],
      );
      if (rows.length === 0) return { ids: [], records: [] };
      const encode = await options.encoder();
      const lastIdOf = new Map(rows.map(({ id, experiment_id }) => [experiment_id, id]));
      const stored = await listDefinitionsById(connection, [...lastIdOf.keys()]);
      const definitionOf = new Map(
        stored.map((definition) => [definition.experiment.experimentId as string, definition]),
      );
      return {
        ids: rows.map(({ id }) => id),
        records: [...lastIdOf].map(([experimentId, id]) => {
          const definition = definitionOf.get(experimentId);
          if (definition === undefined) return { key: experimentId, value: null };
          const document = toDefinitionDocument(definition.experiment);
          return {
            key: experimentId,
            value: encode({
              experiment_id: experimentId,
              experiment_key: document.key,
              iteration: document.iteration,
              version: document.version,
              status: document.status,
              definition: JSON.stringify(document),
              changed_at: definition.updatedAtMs,
              revision: Number(id),
            }),
          };
        }),
      };
    },
    repeat: async (connection, ids) => {
      await connection.query(
        `INSERT INTO exp.definition_outbox (experiment_id)
         SELECT DISTINCT experiment_id FROM exp.definition_outbox WHERE id = ANY($1::bigint[])`,
        [ids],
      );
    },
  };
}
