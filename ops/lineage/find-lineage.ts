// The lineage of one thing: finds it by what a person calls it, and follows the chain both ways.
import { resolvePolicyVersion } from '#domain/definitions/policy.ts';
import { FatalError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { getDataset } from '../dataset/find-dataset.ts';
import { getReplay } from '../offline-replay/find-replays.ts';
import { requireModel } from './lineage-models.ts';
import { createLineageNodes, type LineageDeps, planNode, policyVersionNode } from './lineage-nodes.ts';
import { createNode, type Lineage, type LineageArrow } from './lineage-tree.ts';
import { createTraceBack } from './trace-back.ts';
import { createTraceForward } from './trace-forward.ts';

/** What can be asked for, and how it is named. */
export const lineageRoots = {
  assignment: 'EXPERIMENT/UNIT, EXPERIMENT#ITERATION/UNIT or EXPERIMENT_ID:UNIT',
  event: 'its event_id',
  plan: 'its plan_id',
  dataset: 'its version or the first digits of it',
  run: 'its run id in MLflow',
  replay: 'its id or the first characters of it',
  model: 'NAME/VERSION',
  'policy-version': 'POLICY@VERSION or its id',
  erased: 'nothing: every dataset and model that has seen a unit that was erased since',
} as const;

export type LineageRoot = keyof typeof lineageRoots;

const refuse = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });
const sharesPattern = /^([0-9a-f]{8}-[0-9a-f-]{27}):(.+)$/i;
const keyPattern = /^([^/#]+)(?:#(\d{1,9}))?\/(.+)$/;

export async function findLineage(
  root: LineageRoot,
  name: string,
  deps: LineageDeps & { readonly pool: Pool },
): Promise<Lineage> {
  const { records, models, pool } = deps;
  const nodes = createLineageNodes(deps);
  const [back, forward] = [createTraceBack(deps, nodes), createTraceForward(deps, nodes)];

  const find: Record<LineageRoot, () => Promise<Lineage>> = {
    assignment: async () => {
      const [, id, unitOfId] = sharesPattern.exec(name) ?? [];
      const [, key, iteration, unitOfKey] = keyPattern.exec(name) ?? [];
      const [experiment, unitId] = id === undefined ? [key, unitOfKey] : [id.toLowerCase(), unitOfId];
      if (experiment === undefined || unitId === undefined)
        throw refuse(`${JSON.stringify(name)} is no assignment: expected ${lineageRoots.assignment}`);
      const wanted = id === undefined && iteration !== undefined ? Number(iteration) : null;
      const found = await records.findAssignment(experiment, wanted, unitId);
      if (found === null)
        throw refuse(`no assignment of ${unitId} to ${experiment}: none was ever made, or the unit was erased`);
      return {
        of: createNode({
          kind: 'assignment',
          id: `${found.experiment_key}#${found.iteration}/${found.unit_id}`,
          text: `${found.source} at ${found.assigned_at.toISOString()} (${found.unit_type})`,
        }),
        comesFrom: await back.ofAssignment(found),
        becameOf: await forward.ofAssignment(found),
      };
    },
    event: async () => {
      const found = await records.findEvent(name.toLowerCase());
      if (found === null)
        throw refuse(
          `there is no event ${name} in exp.events: retention may have dropped its day, and the archive has it`,
        );
      return {
        of: await nodes.eventNode(found.event_id, found),
        comesFrom: await back.ofEvent(found),
        becameOf: await forward.ofEvent(found),
      };
    },
    plan: async () => {
      const found = await records.findPlan(name.toLowerCase());
      if (found === null)
        throw refuse(`there is no plan ${name} in exp.training_rows: it has not arrived, or its household was erased`);
      return { of: planNode(found), comesFrom: await back.ofPlan(found), becameOf: await forward.ofPlans([found]) };
    },
    dataset: async () => {
      const { datasetVersion } = await getDataset(pool, name);
      return ofDataset(datasetVersion);
    },
    replay: async () => ofReplay((await getReplay(pool, name)).id),
    run: async () => {
      // The runs of datasets and replays say what they describe; every other one trained something.
      const dataset = await records.findDataset('mlflow_run_id', name);
      if (dataset !== null) return ofDataset(dataset.dataset_version);
      const replay = await records.findReplay('mlflow_run_id', name);
      if (replay !== null) return ofReplay(replay.id);
      const recorded = (await records.listReplays()).find(({ training_run_id }) => training_run_id === name);
      if ((await models.findRun(name)).value === null && recorded === undefined)
        throw refuse(`MLflow has no run ${name}, and no replay names it`);
      const comesFrom = await back.ofRun(name, recorded?.training_dataset_version);
      return { of: await nodes.runNode(name), comesFrom, becameOf: await forward.ofRun(name) };
    },
    model: async () => {
      const model = requireModel(name);
      const of = await nodes.modelNode(model);
      const [comesFrom, becameOf] = [await back.ofModel(model), await forward.ofModel(model)];
      if (of.text === '' && comesFrom.length + becameOf.length === 0) throw refuse(`model ${model}: ${of.problems[0]}`);
      return { of, comesFrom, becameOf };
    },
    'policy-version': async () => {
      const id = resolvePolicyVersion(name);
      const found = id === null ? null : await records.findPolicyVersion(id);
      if (found === null)
        throw refuse(
          `there is no policy version ${name}: expected ${lineageRoots['policy-version']}; "ops policies list" shows them`,
        );
      return {
        of: policyVersionNode(found),
        comesFrom: await back.ofPolicyVersion(found.id),
        becameOf: await forward.ofPolicyVersion(found.id),
      };
    },
    erased: async () => {
      const becameOf: LineageArrow[] = [];
      if (deps.erasures.size > 0) {
        for (const dataset of await records.listDatasets()) {
          const node = await nodes.datasetNode(dataset.dataset_version, dataset);
          if (!node.notes.some((note) => / erased /.test(note))) continue;
          becameOf.push({ relation: 'are in', to: { ...node, arrows: await forward.ofDataset(dataset) } });
        }
      }
      const id = `${deps.erasures.size} erased units`;
      return { of: createNode({ kind: 'erasures', id, text: '' }), comesFrom: [], becameOf };
    },
  };

  const ofDataset = async (version: string): Promise<Lineage> => {
    const dataset = (await records.findDataset('dataset_version', version))!;
    return {
      of: await nodes.datasetNode(version, dataset),
      comesFrom: await back.ofDataset(dataset),
      becameOf: await forward.ofDataset(dataset),
    };
  };
  const ofReplay = async (id: string): Promise<Lineage> => {
    const replay = (await records.findReplay('id', id))!;
    const { dataset_version: version } = replay;
    const dataset = await records.findDataset('dataset_version', version);
    return {
      of: await nodes.replayNode(replay),
      comesFrom: [
        {
          relation: 'judged',
          to: { ...(await nodes.modelNode(replay.model)), arrows: await back.ofModel(replay.model) },
        },
        { relation: 'on the test split of', to: await nodes.datasetNode(version, dataset) },
      ],
      becameOf: await forward.ofModel(replay.model),
    };
  };
  return find[root]();
}
