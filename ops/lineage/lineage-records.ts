// What Postgres knows of the chain: assignments, variants, policy versions, replays, datasets, plans and events.
import type { DatasetContent } from '#domain/dataset/dataset-manifest.ts';
import type { Pool } from '#platform/postgres/pool.ts';

export type AssignmentRecord = {
  readonly experiment_id: string;
  readonly experiment_key: string;
  readonly iteration: number;
  readonly unit_type: string;
  readonly unit_id: string;
  readonly variant_id: string;
  readonly source: string;
  readonly assigned_at: Date;
  readonly serving: string;
  readonly serving_variant_id: string | null;
};

export type VariantRecord = {
  readonly variant_id: string;
  readonly variant_name: string;
  readonly experiment_id: string;
  readonly experiment_key: string;
  readonly iteration: number;
  readonly status: string;
  readonly serving: string;
  readonly traffic_share: number;
  readonly policy_version_id: string | null;
};

export type PolicyVersionRecord = {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly model: string;
  readonly first_production_at: Date | null;
};

export type ReplayRecord = {
  readonly id: string;
  readonly model: string;
  readonly baseline: string | null;
  readonly dataset_version: string;
  readonly verdict: string;
  readonly object_key: string | null;
  readonly mlflow_run_id: string | null;
  readonly training_run_id: string | null;
  readonly training_dataset_version: string | null;
  readonly created_at: Date;
};

export type DatasetRecord = {
  readonly dataset_version: string;
  readonly object_key: string;
  readonly mlflow_run_id: string | null;
  readonly row_count: bigint;
  readonly created_at: Date;
  readonly manifest: Pick<DatasetContent, 'offset_ranges' | 'policy_versions'> & {
    readonly label_cutoff: string;
    readonly generated_from: string | null;
    readonly generated_to: string | null;
  };
};

export type PlanRecord = {
  readonly plan_id: string;
  readonly household_id: string | null;
  readonly generated_event_id: string | null;
  readonly reaction_event_id: string | null;
  readonly reaction: string | null;
  readonly generated_at: Date | null;
  /** Of the variant; of the planner's own word for a household in no experiment. */
  readonly policy_version_id: string | null;
  /** Why the rules made it although a model was meant. */
  readonly fallback_reason: string | null;
  readonly variant_ids: readonly string[];
};

export type EventRecord = {
  readonly event_id: string;
  readonly event_type: string;
  readonly unit_type: string;
  readonly unit_id: string;
  readonly event_time: Date;
  readonly source_topic: string;
  readonly source_partition: number;
  readonly source_offset: bigint;
  readonly plan_id: string | null;
  readonly variant_ids: readonly string[];
};

export type Position = { readonly partition: number; readonly offset: bigint };

const variantIds = (column: string): string =>
  `ARRAY(SELECT r.variant_id FROM jsonb_to_recordset(${column}) AS r (variant_id text) WHERE r.variant_id IS NOT NULL)`;

const variantQuery = `SELECT v.variant_id, v.variant_name, v.experiment_id, v.experiment_key, v.iteration, v.status, x.serving,
    x.coverage * v.allocation / 1e8::float8 AS traffic_share, v.policy_version_id
  FROM exp.v_variant_policy v JOIN exp.experiments x ON x.id = v.experiment_id`;

const policyVersionQuery = `SELECT v.id, p.name || '@' || v.version AS name, v.status, v.first_production_at,
    v.mlflow_model_name || '/' || v.mlflow_model_version AS model
  FROM exp.policy_versions v JOIN exp.policies p ON p.id = v.policy_id`;

const replayQuery = `SELECT id, model_name || '/' || model_version AS model, baseline_model_name || '/' || baseline_model_version AS baseline,
    dataset_version, verdict, object_key, mlflow_run_id, training_run_id, training_dataset_version, created_at
  FROM exp.offline_replay_results`;

const datasetQuery = `SELECT d.dataset_version, d.object_key, d.mlflow_run_id, d.row_count, d.created_at, d.manifest FROM exp.dataset_versions d`;

const planQuery = `SELECT t.plan_id, t.household_id, t.generated_event_id, t.reaction_event_id, t.reaction, t.generated_at,
    coalesce(t.policy_version_id::text, t.policy ->> 'policy_version_id') AS policy_version_id, t.policy ->> 'fallback_reason' AS fallback_reason,
    ${variantIds('t.experiments')} AS variant_ids
  FROM exp.training_rows t`;

export type LineageRecords = ReturnType<typeof createLineageRecords>;

/** Reads with the rights of an operator. Lists are in a fixed order; `find` gives null where there is no row. */
export function createLineageRecords(pool: Pool) {
  const list = async <T>(query: string, values: readonly unknown[] = []): Promise<T[]> =>
    (await pool.query(query, [...values])).rows as T[];
  const find = async <T>(query: string, values: readonly unknown[]): Promise<T | null> =>
    (await list<T>(query, values))[0] ?? null;

  return {
    /** Of the latest iteration that has one, unless the iteration is given. `experiment` is a key or an id. */
    findAssignment: (experiment: string, iteration: number | null, unitId: string) =>
      find<AssignmentRecord>(
        `SELECT a.experiment_id, x.key AS experiment_key, x.iteration, a.unit_type, a.unit_id, a.variant_id, a.source, a.assigned_at,
           x.serving, x.serving_variant_id
         FROM exp.assignments a JOIN exp.experiments x ON x.id = a.experiment_id
         WHERE (x.key = $1 OR x.id::text = $1) AND ($2::integer IS NULL OR x.iteration = $2) AND a.unit_id = $3
         ORDER BY x.iteration DESC LIMIT 1`,
        [experiment, iteration, unitId],
      ),
    listVariants: (ids: readonly string[]) =>
      list<VariantRecord>(
        `${variantQuery} WHERE v.variant_id::text = ANY($1::text[]) ORDER BY v.experiment_key, v.iteration, v.position`,
        [ids],
      ),
    listVariantsOfPolicyVersion: (id: string) =>
      list<VariantRecord>(
        `${variantQuery} WHERE v.policy_version_id = $1 ORDER BY v.experiment_key, v.iteration, v.position`,
        [id],
      ),
    /** How many units have the variant, and some of them. */
    countAssignments: (variant: Pick<VariantRecord, 'experiment_id' | 'variant_id'>) =>
      find<{ count: bigint; examples: readonly string[] }>(
        `SELECT (SELECT count(*) FROM exp.assignments WHERE experiment_id = $1 AND variant_id = $2) AS count,
           ARRAY(SELECT unit_id FROM exp.assignments WHERE experiment_id = $1 AND variant_id = $2 ORDER BY assigned_at, unit_id LIMIT 3) AS examples`,
        [variant.experiment_id, variant.variant_id],
      ),
    findPolicyVersion: (id: string) => find<PolicyVersionRecord>(`${policyVersionQuery} WHERE v.id::text = $1`, [id]),
    listPolicyVersionsOfModel: (name: string, version: string) =>
      list<PolicyVersionRecord>(
        `${policyVersionQuery} WHERE v.mlflow_model_name = $1 AND v.mlflow_model_version = $2 ORDER BY p.name, v.version`,
        [name, version],
      ),
    countPlansOfPolicyVersion: async (id: string) =>
      (await find<{ count: bigint }>('SELECT count(*) FROM exp.training_rows WHERE policy_version_id = $1', [id]))!
        .count,
    listReplaysOfModel: (name: string, version: string) =>
      list<ReplayRecord>(`${replayQuery} WHERE model_name = $1 AND model_version = $2 ORDER BY created_at DESC`, [
        name,
        version,
      ]),
    listReplaysOfDataset: (version: string) =>
      list<ReplayRecord>(`${replayQuery} WHERE dataset_version = $1 ORDER BY created_at DESC`, [version]),
    listReplays: () => list<ReplayRecord>(`${replayQuery} ORDER BY created_at DESC`),
    findReplay: (column: 'id' | 'mlflow_run_id', id: string) =>
      find<ReplayRecord>(`${replayQuery} WHERE ${column}::text = $1`, [id]),
    /** Models that replays know to be trained on the dataset, also when MLflow has lost them. */
    listModelsTrainedOn: (version: string) =>
      list<{ model: string; training_run_id: string }>(
        `SELECT DISTINCT model_name || '/' || model_version AS model, training_run_id FROM exp.offline_replay_results
         WHERE training_dataset_version = $1 ORDER BY 1`,
        [version],
      ),
    findDataset: (column: 'dataset_version' | 'mlflow_run_id', id: string) =>
      find<DatasetRecord>(`${datasetQuery} WHERE ${column} = $1`, [id]),
    listDatasets: () => list<DatasetRecord>(`${datasetQuery} ORDER BY d.created_at`),
    /** Datasets whose offset ranges hold one of the positions: what their files really hold, the files say. */
    listDatasetsAround: (positions: readonly Position[]) =>
      list<DatasetRecord>(
        `${datasetQuery} WHERE EXISTS (
           SELECT 1 FROM jsonb_to_recordset(d.manifest -> 'offset_ranges') AS r (partition integer, first_offset bigint, end_offset bigint)
           JOIN unnest($1::integer[], $2::bigint[]) AS p (partition, at) ON p.partition = r.partition AND p.at >= r.first_offset AND p.at < r.end_offset
         ) ORDER BY d.created_at`,
        [positions.map(({ partition }) => partition), positions.map(({ offset }) => offset)],
      ),
    findPlan: (planId: string) => find<PlanRecord>(`${planQuery} WHERE t.plan_id::text = $1`, [planId]),
    listPlansOfEvents: (eventIds: readonly string[]) =>
      list<PlanRecord>(
        `${planQuery} WHERE t.generated_event_id::text = ANY($1::text[]) OR t.plan_id IN
           (SELECT plan_id FROM exp.plan_reactions WHERE event_id::text = ANY($1::text[])) ORDER BY t.generated_at, t.plan_id`,
        [eventIds],
      ),
    /** Plans of a unit under an experiment, the latest first. */
    listPlansOfUnit: (unitId: string, experimentId: string) =>
      list<PlanRecord>(
        `${planQuery} WHERE t.household_id = $1 AND t.experiments @> jsonb_build_array(jsonb_build_object('experiment_id', $2::text))
         ORDER BY t.generated_at DESC, t.plan_id`,
        [unitId, experimentId],
      ),
    listPositionsOfPlans: async (planIds: readonly string[]) =>
      list<Position>(
        `SELECT generated_partition AS partition, generated_offset AS "offset" FROM exp.training_rows
         WHERE plan_id::text = ANY($1::text[]) AND generated_partition IS NOT NULL`,
        [planIds],
      ),
    findEvent: (eventId: string) =>
      find<EventRecord>(
        `SELECT event_id, event_type, unit_type, unit_id, event_time, source_topic, source_partition, source_offset,
           payload ->> 'plan_id' AS plan_id, ${variantIds('experiments')} AS variant_ids
         FROM exp.events WHERE event_id::text = $1 ORDER BY event_date LIMIT 1`,
        [eventId],
      ),
    /** Of events with their UTC days, how many Postgres still has. */
    countEvents: async (events: readonly { readonly eventId: string; readonly day: string }[]) =>
      Number(
        (await find<{ count: bigint }>(
          `SELECT count(*) FROM unnest($1::uuid[], $2::date[]) AS e (event_id, event_date) JOIN exp.events s USING (event_date, event_id)`,
          [events.map(({ eventId }) => eventId), events.map(({ day }) => day)],
        ))!.count,
      ),
    /** Archive objects that hold an offset: the segment, or what took its place. */
    listArchiveObjects: (topic: string, position: Position) =>
      list<{ object_key: string }>(
        `WITH RECURSIVE held AS (
           SELECT * FROM exp.archive_manifest
           WHERE topic = $1 AND kafka_partition = $2 AND first_offset <= $3 AND last_offset >= $3
           UNION SELECT m.* FROM exp.archive_manifest m JOIN held h ON h.superseded_by = m.id
         ) SELECT object_key FROM held WHERE status = 'committed' AND row_count > 0 ORDER BY object_key`,
        [topic, position.partition, position.offset],
      ),
  };
}
