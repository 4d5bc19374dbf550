// Runs the queries of cards on Postgres as Metabase does: variables by its rules, values typed as its driver types them.
import pg from 'pg';
import { expandTemplate, type TagValue, TemplateError, type TemplateTag } from './expand-template.ts';
import { Refusal } from './refusal.ts';

type Body = Readonly<Record<string, unknown>>;
type Details = { host: string; port: number; dbname: string; user: string; password: string };

const settingsOf = (details: Body): pg.PoolConfig => {
  const { host, port, dbname, user, password } = details as unknown as Details;
  return { host, port, database: dbname, user, password, max: 2, connectionTimeoutMillis: 10_000 };
};

const baseTypes: Readonly<Record<string, string>> = {
  text: 'type/Text',
  int8: 'type/BigInteger',
  float8: 'type/Float',
  date: 'type/Date',
};

/** `[{target: ["variable", ["template-tag", name]], value}]` as values by name; null and an empty list are no value. */
function toValues(parameters: readonly Body[] | undefined): Record<string, TagValue> {
  const pairs = (parameters ?? []).flatMap(({ target, value }): [string, TagValue][] => {
    const name = (target as [string, [string, string]])[1][1];
    const list =
      Array.isArray(value) && value.length === 1 ? (value[0] as TagValue) : (value as TagValue | null | undefined);
    return list === null || list === undefined || (Array.isArray(list) && list.length === 0) ? [] : [[name, list]];
  });
  return Object.fromEntries(pairs);
}

export function createCardRunner() {
  const pools = new Map<string, pg.Pool>();
  const poolOf = (details: Body): pg.Pool => {
    const key = JSON.stringify(details);
    const pool = pools.get(key) ?? new pg.Pool(settingsOf(details));
    pools.set(key, pool);
    return pool;
  };
  return {
    /** Metabase tries a connection before it stores it. */
    checkConnection: async (details: Body): Promise<void> => {
      try {
        await poolOf(details).query('SELECT 1');
      } catch (error) {
        throw new Refusal(400, { message: (error as Error).message, valid: false });
      }
    },
    /** A failed query is an answer too, with a status of its own. */
    run: async (
      database: Readonly<Record<string, unknown>>,
      card: Readonly<Record<string, unknown>>,
      parameters: readonly Body[] | undefined,
    ): Promise<object> => {
      const [stage] = (card.dataset_query as { stages: { native: string; 'template-tags'?: TemplateTag[] }[] }).stages;
      try {
        const { sql, values } = expandTemplate(stage!.native, stage!['template-tags'] ?? [], toValues(parameters));
        const { rows, fields } = await poolOf(database.details as Body).query({
          text: sql,
          values: [...values],
          rowMode: 'array',
        });
        const types = await poolOf(database.details as Body).query<{ oid: number; typname: string }>(
          'SELECT oid::integer AS oid, typname FROM pg_type WHERE oid = ANY ($1::oid[])',
          [fields.map(({ dataTypeID }) => dataTypeID)],
        );
        const typeOf = (oid: number): string => types.rows.find((one) => one.oid === oid)?.typname ?? '';
        const cols = fields.map(({ name, dataTypeID }) => ({
          name,
          display_name: name,
          base_type: baseTypes[typeOf(dataTypeID)] ?? 'type/*',
        }));
        return { status: 'completed', row_count: rows.length, database_id: database.id, data: { rows, cols } };
      } catch (error) {
        if (!(error instanceof TemplateError) && !(error instanceof pg.DatabaseError)) throw error;
        return { status: 'failed', row_count: 0, error: error.message, data: { rows: [], cols: [] } };
      }
    },
    close: async (): Promise<void> => {
      await Promise.all([...pools.values()].map((pool) => pool.end()));
    },
  };
}
