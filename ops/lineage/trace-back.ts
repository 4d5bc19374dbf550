// Follows the chain against time: from an assignment, plan or event to the policy version, the model, its training, its dataset and their events.

import { splitModel } from './lineage-models.ts';
import { type LineageDeps, type LineageNodes, plural, policyVersionNode, variantNode } from './lineage-nodes.ts';
import type { AssignmentRecord, DatasetRecord, EventRecord, PlanRecord, VariantRecord } from './lineage-records.ts';
import { createExpander, createNode, type LineageArrow, type LineageNode } from './lineage-tree.ts';

/** Of the events of a dataset, so many are looked for in Postgres. */
const countedEvents = 20_000;

export type TraceBack = {
  ofAssignment(assignment: AssignmentRecord): Promise<LineageArrow[]>;
  ofVariants(ids: readonly string[], relation: string): Promise<LineageArrow[]>;
  ofPolicyVersion(id: string): Promise<LineageArrow[]>;
  ofModel(model: string): Promise<LineageArrow[]>;
  /** `datasetVersion` is what is known without MLflow. */
  ofRun(runId: string, datasetVersion?: string | null): Promise<LineageArrow[]>;
  ofDataset(dataset: DatasetRecord): Promise<LineageArrow[]>;
  ofPlan(plan: PlanRecord): Promise<LineageArrow[]>;
  ofEvent(event: EventRecord): Promise<LineageArrow[]>;
};

export function createTraceBack({ records, contents, models }: LineageDeps, nodes: LineageNodes): TraceBack {
  const expand = createExpander();

  const variantBranch = (variant: VariantRecord): Promise<LineageNode> =>
    expand(
      variant.variant_id,
      () => variantNode(variant),
      async () =>
        variant.policy_version_id === null ? [] : [await policyArrow('delivers', variant.policy_version_id)],
    );
  const policyArrow = async (relation: string, id: string): Promise<LineageArrow> => {
    const found = await records.findPolicyVersion(id);
    if (found === null) {
      const problems = ['exp.policy_versions has no such version'];
      return { relation, to: createNode({ kind: 'policy-version', id, text: '', problems }) };
    }
    return {
      relation,
      to: await expand(
        found.id,
        () => policyVersionNode(found),
        () => trace.ofPolicyVersion(id),
      ),
    };
  };
  const datasetArrow = async (relation: string, version: string): Promise<LineageArrow> => {
    const dataset = await records.findDataset('dataset_version', version);
    const arrows = async () => (dataset === null ? [] : trace.ofDataset(dataset));
    return { relation, to: await expand(version, () => nodes.datasetNode(version, dataset), arrows) };
  };

  const trace: TraceBack = {
    ofAssignment: async ({ variant_id, serving, serving_variant_id }) => [
      ...(await trace.ofVariants([variant_id], 'has')),
      ...(serving === 'all_to' && serving_variant_id !== null && serving_variant_id !== variant_id
        ? await trace.ofVariants([serving_variant_id], 'is given now')
        : []),
    ],
    ofVariants: async (ids, relation) => {
      const arrows: LineageArrow[] = [];
      for (const variant of await records.listVariants(ids))
        arrows.push({ relation, to: await variantBranch(variant) });
      return arrows;
    },
    ofPolicyVersion: async (id) => {
      const found = await records.findPolicyVersion(id);
      if (found === null) return [];
      const { model } = found;
      return [
        {
          relation: 'is',
          to: await expand(
            model,
            () => nodes.modelNode(model),
            () => trace.ofModel(model),
          ),
        },
      ];
    },
    ofModel: async (model) => {
      const { name, version } = splitModel(model);
      const replays = await records.listReplaysOfModel(name, version);
      const { value } = await models.findModel(model);
      const recorded = replays.find(({ training_run_id }) => training_run_id !== null);
      const arrows: LineageArrow[] = [];
      for (const replay of replays) arrows.push({ relation: 'was judged by', to: await nodes.replayNode(replay) });
      const runId = value?.runId ?? recorded?.training_run_id ?? null;
      // A planner of rules has a run that only holds its files.
      if (runId === null || value?.tags.kind === 'rule-based') return arrows;
      const datasetVersion = value?.tags.dataset_version ?? recorded?.training_dataset_version ?? null;
      const node = await expand(
        runId,
        () => nodes.runNode(runId),
        () => trace.ofRun(runId, datasetVersion),
      );
      return [...arrows, { relation: 'was trained by', to: node }];
    },
    ofRun: async (runId, datasetVersion = null) => {
      const { value } = await models.findRun(runId);
      const version = value?.tags.dataset_version ?? datasetVersion;
      return version === null ? [] : [await datasetArrow('on', version)];
    },
    ofDataset: async (dataset) => {
      const { offset_ranges: ranges, policy_versions: policies } = dataset.manifest;
      const events = await contents.listEvents(dataset, countedEvents);
      const stored = await records.countEvents(events);
      const ends = [...new Set([events.at(0)?.eventId, events.at(-1)?.eventId].filter((id) => id !== undefined))];
      const eventArrows: LineageArrow[] = [];
      for (const id of ends) {
        eventArrows.push({ relation: 'such as', to: await nodes.eventNode(id, await records.findEvent(id)) });
      }
      const total = ranges.reduce((sum, { first_offset, end_offset }) => sum + end_offset - first_offset, 0);
      const offsets = createNode({
        kind: 'offsets',
        id: `${plural(ranges.length, 'partition')} of exp.events.v1`,
        text: ranges
          .map(({ partition, first_offset, end_offset }) => `${partition}: ${first_offset} to ${end_offset - 1}`)
          .join(', '),
        notes: [
          `its rows name ${events.length === countedEvents ? 'more than ' : ''}${plural(events.length, 'event')} of the ${plural(total, 'record')} between; ${plural(stored, 'is', 'are')} in exp.events`,
        ],
        arrows: eventArrows,
      });
      const arrows: LineageArrow[] = [{ relation: 'was made from', to: offsets }];
      for (const { policy_version_id: id, row_count } of policies) {
        if (id !== null) arrows.push(await policyArrow(`has ${plural(row_count, 'plan')} of`, id));
      }
      return arrows;
    },
    ofPlan: async (plan) => {
      const arrows: LineageArrow[] = [];
      for (const [relation, id] of [
        ['was generated as', plan.generated_event_id],
        ['was answered by', plan.reaction_event_id],
      ] as const) {
        if (id !== null) arrows.push({ relation, to: await nodes.eventNode(id, await records.findEvent(id)) });
      }
      arrows.push(...(await trace.ofVariants(plan.variant_ids, 'was made for')));
      if (plan.policy_version_id !== null) arrows.push(await policyArrow('was made by', plan.policy_version_id));
      return arrows;
    },
    ofEvent: (event) => trace.ofVariants(event.variant_ids, 'names'),
  };
  return trace;
}
