// Makes a node of each thing of the chain, with what is missing of it said in words.
import { hashUnit } from '#domain/archive/erased-units.ts';
import { toSiblingKey } from '#domain/dataset/planner-dataset.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import type { DatasetContents } from './dataset-contents.ts';
import type { LineageModels } from './lineage-models.ts';
import type {
  DatasetRecord,
  EventRecord,
  LineageRecords,
  PlanRecord,
  PolicyVersionRecord,
  ReplayRecord,
  VariantRecord,
} from './lineage-records.ts';
import { createNode, type LineageArrow, type LineageNode } from './lineage-tree.ts';

export type LineageDeps = {
  readonly records: LineageRecords;
  readonly contents: DatasetContents;
  readonly models: LineageModels;
  readonly objectStore: ObjectStore;
  /** Pseudonyms by hash in hex; empty when nobody was erased. */
  readonly erasures: ReadonlyMap<string, string>;
  readonly erasureKey: string | undefined;
};

export const householdUnitType = 'household';

const list = (problem: string | null): string[] => (problem === null ? [] : [problem]);
const count = (value: number | bigint): string => value.toLocaleString('en-US');
const at = (time: Date | null): string => time?.toISOString() ?? 'unknown time';
export const plural = (value: number | bigint, one: string, many = `${one}s`): string =>
  `${count(value)} ${Number(value) === 1 ? one : many}`;

export function variantNode(variant: VariantRecord, arrows: readonly LineageArrow[] = []): LineageNode {
  const share = `${Number((variant.traffic_share * 100).toFixed(2))} % of traffic`;
  return createNode({
    kind: 'variant',
    id: variant.variant_id,
    text: `${variant.variant_name} of experiment ${variant.experiment_key}, iteration ${variant.iteration} (${variant.status}, serving ${variant.serving}, ${share})`,
    notes: variant.policy_version_id === null ? ['it names no policy version: its parameters are all it delivers'] : [],
    arrows,
  });
}

export const policyVersionNode = (found: PolicyVersionRecord, arrows: readonly LineageArrow[] = []): LineageNode =>
  createNode({
    kind: 'policy-version',
    id: found.name,
    text: `${found.status}${found.first_production_at === null ? '' : `, in production since ${at(found.first_production_at)}`} (${found.id})`,
    arrows,
  });

export const planNode = (plan: PlanRecord, arrows: readonly LineageArrow[] = []): LineageNode =>
  createNode({
    kind: 'plan',
    id: plan.plan_id,
    text:
      plan.generated_at === null
        ? 'its plan_generated event has not arrived'
        : `for ${plan.household_id ?? 'nobody'}, generated ${at(plan.generated_at)}, ${plan.reaction ?? 'not answered'}`,
    notes: plan.fallback_reason === null ? [] : [`the rules made it in place of the model: ${plan.fallback_reason}`],
    arrows,
  });

export const describeEvent = (event: EventRecord): string =>
  `${event.event_type} of ${event.unit_type} ${event.unit_id} at ${at(event.event_time)}, partition ${event.source_partition} offset ${event.source_offset} of ${event.source_topic}`;

/** The nodes that need more than a row: what lies in MLflow and the object store is looked up. */
export function createLineageNodes(deps: LineageDeps) {
  const { records, contents, models, objectStore, erasures, erasureKey } = deps;
  const address = (key: string): string => `s3://${objectStore.bucket}/${key}`;

  /** Erased units whose plans the files still hold. */
  const describeErased = async (dataset: DatasetRecord): Promise<string[]> => {
    if (erasures.size === 0) return [];
    if (erasureKey === undefined) return ['whether it holds erased units is not known: ERASURE_KEY is not set'];
    const held = [...(await contents.countByHousehold(dataset))].flatMap(([household, rows]) => {
      const pseudonym = erasures.get(hashUnit(erasureKey, householdUnitType, household).toString('hex'));
      return pseudonym === undefined ? [] : [{ pseudonym, rows }];
    });
    if (held.length === 0) return [];
    const rows = held.reduce((sum, part) => sum + part.rows, 0);
    const names = held.slice(0, 3).map(({ pseudonym }) => pseudonym);
    return [
      `holds ${plural(rows, 'plan')} of ${plural(held.length, 'unit')} erased since (${names.join(', ')}${held.length > 3 ? ', …' : ''}): what is trained on it has seen them`,
    ];
  };

  const datasetNode = async (
    version: string,
    dataset: DatasetRecord | null,
    arrows: readonly LineageArrow[] = [],
  ): Promise<LineageNode> => {
    if (dataset === null) {
      return createNode({
        kind: 'dataset',
        id: version,
        text: '',
        problems: ['exp.dataset_versions has no such version'],
        arrows,
      });
    }
    const missing = await contents.listMissing(dataset);
    const run = dataset.mlflow_run_id === null ? null : await models.findRun(dataset.mlflow_run_id);
    return createNode({
      kind: 'dataset',
      id: version,
      text: `${plural(dataset.row_count, 'row')} at ${address(toSiblingKey(dataset.object_key, ''))}, built ${at(dataset.created_at)}`,
      problems: [
        ...missing.map((key) => `${key.replace(/^.*\//, '')} is gone from the object store (${address(key)})`),
        ...list(run?.problem ?? null).map((problem) => `MLflow run ${dataset.mlflow_run_id} of its build: ${problem}`),
      ],
      notes: [
        ...(dataset.mlflow_run_id === null
          ? ['no MLflow run: it was built without MLflow']
          : [`described by MLflow run ${dataset.mlflow_run_id}`]),
        ...(await describeErased(dataset)),
      ],
      arrows,
    });
  };

  return {
    address,
    datasetNode,
    modelNode: async (model: string, arrows: readonly LineageArrow[] = []): Promise<LineageNode> => {
      const { value, problem } = await models.findModel(model);
      const tags = value?.tags ?? {};
      return createNode({
        kind: 'model',
        id: model,
        text: value === null ? '' : `stage ${tags.stage ?? '(none)'}, files at ${value.source}`,
        problems: list(problem),
        notes: [
          ...(tags.control === undefined ? [] : [`a control, trained on ${tags.control}: it must not pass`]),
          ...(tags.kind === 'rule-based' ? ['rules, registered from their source: nothing was trained'] : []),
        ],
        arrows,
      });
    },
    runNode: async (runId: string, arrows: readonly LineageArrow[] = []): Promise<LineageNode> => {
      const { value, problem } = await models.findRun(runId);
      return createNode({
        kind: 'run',
        id: runId,
        text: value === null ? '' : `${value.name}, ${value.status.toLowerCase()}`,
        problems: list(problem),
        arrows,
      });
    },
    replayNode: async (replay: ReplayRecord, arrows: readonly LineageArrow[] = []): Promise<LineageNode> => {
      const { object_key: key, mlflow_run_id: runId } = replay;
      const rows = key === null ? null : await objectStore.find(key);
      const run = runId === null ? null : await models.findRun(runId);
      return createNode({
        kind: 'replay',
        id: replay.id,
        text: `${replay.verdict}, ${replay.model} against ${replay.baseline ?? 'nothing'} on ${at(replay.created_at)}`,
        problems: [
          ...(key !== null && rows === null ? [`its rows are gone from the object store (${address(key)})`] : []),
          ...list(run?.problem ?? null).map((problem) => `MLflow run ${runId}: ${problem}`),
        ],
        notes: [
          ...(key === null ? [] : [`rows per plan at ${address(key)}`]),
          ...(runId === null ? [] : [`described by MLflow run ${runId}`]),
          `on the test split of dataset ${replay.dataset_version}`,
        ],
        arrows,
      });
    },
    /** An event with where the archive keeps it. */
    eventNode: async (eventId: string, event: EventRecord | null): Promise<LineageNode> => {
      if (event === null) {
        return createNode({
          kind: 'event',
          id: eventId,
          text: '',
          notes: ['not in exp.events: retention has dropped its day, or the sink has not written it yet'],
        });
      }
      const position = { partition: event.source_partition, offset: event.source_offset };
      const objects = await records.listArchiveObjects(event.source_topic, position);
      const arrows = await Promise.all(
        objects.map(async ({ object_key: key }) => ({
          relation: 'is kept in',
          to: createNode({
            kind: 'archive',
            id: address(key),
            text: '',
            problems: (await objectStore.find(key)) === null ? ['it is gone from the object store'] : [],
          }),
        })),
      );
      return createNode({
        kind: 'event',
        id: eventId,
        text: describeEvent(event),
        notes: objects.length === 0 ? ['the archive does not have it yet'] : [],
        arrows,
      });
    },
  };
}

export type LineageNodes = ReturnType<typeof createLineageNodes>;
