// Follows the chain with time: from an event or plan to the datasets that hold it, the models trained on them, and who was given those.
import type { DatasetContents } from './dataset-contents.ts';
import { splitModel } from './lineage-models.ts';
import {
  type LineageDeps,
  type LineageNodes,
  planNode,
  plural,
  policyVersionNode,
  variantNode,
} from './lineage-nodes.ts';
import type { AssignmentRecord, DatasetRecord, EventRecord, PlanRecord, VariantRecord } from './lineage-records.ts';
import { createExpander, createNode, type LineageArrow, type LineageNode } from './lineage-tree.ts';

/** Of the plans of an assignment, so many are named. */
const namedPlans = 3;

export type TraceForward = {
  ofAssignment(assignment: AssignmentRecord): Promise<LineageArrow[]>;
  ofVariant(variant: VariantRecord): Promise<LineageArrow[]>;
  ofPolicyVersion(id: string): Promise<LineageArrow[]>;
  ofModel(model: string): Promise<LineageArrow[]>;
  ofRun(runId: string): Promise<LineageArrow[]>;
  ofDataset(dataset: DatasetRecord): Promise<LineageArrow[]>;
  ofPlans(plans: readonly PlanRecord[]): Promise<LineageArrow[]>;
  ofEvent(event: EventRecord): Promise<LineageArrow[]>;
};

/** What a dataset did with some plans: it trained with those of two splits and judged with those of the third. */
type Use = { readonly trains: boolean; readonly tests: boolean };

export function createTraceForward({ records, contents, models }: LineageDeps, nodes: LineageNodes): TraceForward {
  const expand = createExpander();

  const modelArrow = async (relation: string, model: string): Promise<LineageArrow> => ({
    relation,
    to: await expand(
      model,
      () => nodes.modelNode(model),
      () => trace.ofModel(model),
    ),
  });

  const ofUse = async (dataset: DatasetRecord, { trains, tests }: Use): Promise<LineageArrow[]> => {
    const version = dataset.dataset_version;
    const arrows: LineageArrow[] = [];
    if (trains) {
      const { value, problem } = await models.listModelsOfDataset(version);
      const registered = (value ?? []).map((found) => `${found.name}/${found.version}`);
      const recorded = (await records.listModelsTrainedOn(version)).map(({ model }) => model);
      for (const model of [...new Set([...registered, ...recorded])].sort())
        arrows.push(await modelArrow('trained', model));
      if (problem !== null) {
        const problems = [`the models that were trained on it: ${problem}`];
        arrows.push({ relation: 'trained', to: createNode({ kind: 'model', id: '(unknown)', text: '', problems }) });
      }
    }
    if (tests) {
      for (const replay of await records.listReplaysOfDataset(version)) {
        const node = await expand(
          replay.id,
          () => nodes.replayNode(replay),
          async () => [],
        );
        arrows.push({ relation: 'was the test of', to: node });
      }
    }
    return arrows;
  };

  /** Datasets near the plans or the event, and what their files hold of them. */
  const inDatasets = async (
    datasets: readonly DatasetRecord[],
    wanted: Parameters<DatasetContents['findPlans']>[1],
    describe: (files: string, planIds: readonly string[]) => string,
  ): Promise<LineageArrow[]> => {
    const arrows: LineageArrow[] = [];
    for (const dataset of datasets) {
      const version = dataset.dataset_version;
      const held = await contents.findPlans(dataset, wanted);
      const bare = (): Promise<LineageNode> => nodes.datasetNode(version, dataset);
      if (held === null) {
        const node = await bare();
        const relation = 'lies in the offsets (its files are not all there, so more is not known) of';
        arrows.push({ relation, to: node });
        continue;
      }
      if (held.length === 0) continue;
      const splits = [...new Set(held.map(({ split }) => split))];
      const use = { trains: splits.some((split) => split !== 'test'), tests: splits.includes('test') };
      const files = splits.map((split) => `${split}.parquet`).join(' and ');
      const to = await expand(`${version}/${use.trains}/${use.tests}`, bare, () => ofUse(dataset, use));
      arrows.push({
        relation: describe(
          files,
          held.map(({ planId }) => planId),
        ),
        to,
      });
    }
    return arrows;
  };

  const trace: TraceForward = {
    ofAssignment: async ({ unit_id, experiment_id }) => {
      const plans = await records.listPlansOfUnit(unit_id, experiment_id);
      const named = plans.slice(0, namedPlans).map((plan, index): LineageArrow => {
        const relation = index === 0 ? `saw ${plural(plans.length, 'plan')}, the latest` : 'saw';
        return { relation, to: planNode(plan) };
      });
      return [...named, ...(await trace.ofPlans(plans))];
    },
    ofVariant: async (variant) => {
      const found = await records.countAssignments(variant);
      const id = plural(found?.count ?? 0n, 'unit');
      const text = found === null || found.count === 0n ? '' : `such as ${found.examples.join(', ')}`;
      return [{ relation: 'was assigned to', to: createNode({ kind: 'assignments', id, text }) }];
    },
    ofPolicyVersion: async (id) => {
      const arrows: LineageArrow[] = [];
      for (const variant of await records.listVariantsOfPolicyVersion(id)) {
        const to = await expand(
          variant.variant_id,
          () => variantNode(variant),
          () => trace.ofVariant(variant),
        );
        arrows.push({ relation: 'is delivered by', to });
      }
      return arrows;
    },
    ofModel: async (model) => {
      const { name, version } = splitModel(model);
      const arrows: LineageArrow[] = [];
      for (const replay of await records.listReplaysOfModel(name, version)) {
        const to = await expand(
          replay.id,
          () => nodes.replayNode(replay),
          async () => [],
        );
        arrows.push({ relation: 'was judged by', to });
      }
      for (const found of await records.listPolicyVersionsOfModel(name, version)) {
        const plans = await records.countPlansOfPolicyVersion(found.id);
        const bare = (): LineageNode => {
          const node = policyVersionNode(found);
          return { ...node, notes: [...node.notes, `made ${plural(plans, 'plan')} so far`] };
        };
        const to = await expand(found.id, bare, () => trace.ofPolicyVersion(found.id));
        arrows.push({ relation: 'became', to });
      }
      return arrows;
    },
    ofRun: async (runId) => {
      const { value, problem } = await models.listModelsOfRun(runId);
      const arrows: LineageArrow[] = [];
      for (const { name, version } of value ?? []) arrows.push(await modelArrow('made', `${name}/${version}`));
      if (problem === null) return arrows;
      const problems = [`the model versions of the run: ${problem}`];
      return [{ relation: 'made', to: createNode({ kind: 'model', id: '(unknown)', text: '', problems }) }];
    },
    ofDataset: (dataset) => ofUse(dataset, { trains: true, tests: true }),
    ofPlans: async (plans) => {
      const planIds = plans.map(({ plan_id }) => plan_id);
      const near = await records.listDatasetsAround(await records.listPositionsOfPlans(planIds));
      return inDatasets(near, { planIds }, (files, held) =>
        plans.length === 1
          ? `is in ${files} of`
          : `${held.length} of ${plural(plans.length, 'plan')} are in ${files} of`,
      );
    },
    ofEvent: async (event) => {
      const { event_id: eventId } = event;
      const plan = event.plan_id === null ? null : await records.findPlan(event.plan_id.toLowerCase());
      const arrows: LineageArrow[] = plan === null ? [] : [{ relation: 'is part of', to: planNode(plan) }];
      const position = { partition: event.source_partition, offset: event.source_offset };
      const near = await records.listDatasetsAround([position]);
      const describe = (files: string, [planId]: readonly string[]): string => `is with plan ${planId} in ${files} of`;
      return [...arrows, ...(await inDatasets(near, { eventId }, describe))];
    },
  };
  return trace;
}
