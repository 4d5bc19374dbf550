// Brings MLflow in line with Postgres: the alias `production` and the tags `stage` of every model that a policy names.
//
// Commit point: the transaction in Postgres that changes the status of a policy version, with its row in exp.promotions. MLflow
// follows. A crash in between leaves the alias of before; whoever aligns next sets it, and doctor reports it meanwhile.
import { policyVersionIdIn } from '#domain/experiment/experiment.ts';
import { describeError } from '#platform/errors.ts';
import { type ModelStages, productionAlias } from '#platform/mlflow/model-stages.ts';
import type { ChangeResult } from '../definition-store/change-definition.ts';
import type { Connection } from '../definition-store/definition-rows.ts';

type WantedProduction = {
  readonly model: string;
  /** The version that Postgres has in production; null where it has none. */
  readonly wanted: number | null;
  /** False for a model that no policy ever had in production: what its alias says is nobody's decision here. */
  readonly isDecided: boolean;
};

/** Every model that a policy names. Of several versions in production, the one that entered last. */
async function listWantedProduction(connection: Connection): Promise<WantedProduction[]> {
  const { rows } = await connection.query<{ model: string; wanted: string | null; is_decided: boolean }>(
    `SELECT v.mlflow_model_name AS model, bool_or(v.first_production_at IS NOT NULL) AS is_decided,
       (array_agg(v.mlflow_model_version ORDER BY l.latest DESC NULLS LAST, v.first_production_at DESC)
         FILTER (WHERE v.status = 'production'))[1] AS wanted
     FROM exp.policy_versions v
     LEFT JOIN LATERAL (SELECT max(id) AS latest FROM exp.promotions p
       WHERE p.policy_version_id = v.id AND p.to_state ->> 'status' = 'production') l ON true
     GROUP BY 1 ORDER BY 1`,
  );
  return rows.map(({ model, wanted, is_decided }) => ({
    model,
    wanted: wanted === null ? null : Number(wanted),
    isDecided: is_decided,
  }));
}

/** In words: where alias or tags of MLflow differ from Postgres. @throws RetryableError when MLflow cannot be asked. */
export async function findModelDifferences(connection: Connection, stages: ModelStages): Promise<string[]> {
  const differences: string[] = [];
  for (const { model, wanted } of await listWantedProduction(connection)) {
    const found = await stages.findAlias(model, productionAlias);
    if (found !== wanted) {
      const say = (version: number | null): string => (version === null ? 'no version' : `version ${version}`);
      differences.push(
        `the alias ${productionAlias} of model ${model} names ${say(found)}, and Postgres has ${say(wanted)} in production`,
      );
    }
    // Tags are compared with the alias, so they say nothing while it is wrong itself.
    if (found === wanted) differences.push(...(await stages.findStageProblems(model)));
  }
  return differences;
}

export type Alignment =
  | { readonly status: 'in line'; readonly changed: readonly string[] }
  /** Postgres holds; MLflow says something else until the next alignment. */
  | { readonly status: 'behind'; readonly reason: string };

/** In words for whoever caused it; null when there was nothing to do. */
export function describeAlignment(mlflow: Alignment): string | null {
  if (mlflow.status === 'in line') return mlflow.changed.length === 0 ? null : `MLflow: ${mlflow.changed.join('; ')}`;
  return `MLflow is behind: ${mlflow.reason}. Postgres has decided and holds; \`ops promote check\` brings MLflow in line`;
}

/** Sets what differs, of one model or of all. Repeating it changes nothing; it never fails, because Postgres has decided already. */
export async function alignModels(
  connection: Connection,
  stages: ModelStages | null,
  modelNames: readonly string[] | null = null,
): Promise<Alignment> {
  if (stages === null) return { status: 'behind', reason: 'MLFLOW_URL is not set' };
  const changed: string[] = [];
  const problems: string[] = [];
  for (const { model, wanted, isDecided } of await listWantedProduction(connection)) {
    if (!isDecided || (modelNames !== null && !modelNames.includes(model))) continue;
    try {
      const found = await stages.findAlias(model, productionAlias);
      if (found !== wanted) {
        if (wanted === null) await stages.retireProduction(model);
        else await stages.setProduction(model, wanted);
        changed.push(wanted === null ? `${model} has no production version` : `${model}/${wanted} is production`);
      } else if ((await stages.repairStages(model)).length > 0) changed.push(`tags of ${model} were repaired`);
    } catch (error) {
      problems.push(describeError(error));
    }
  }
  return problems.length === 0 ? { status: 'in line', changed } : { status: 'behind', reason: problems.join('; ') };
}

/** Aligns after a change that delivers a policy version to all, and so may have moved what is in production; null after any other. */
export async function alignAfterDelivery(
  connection: Connection,
  stages: ModelStages | null,
  result: ChangeResult,
): Promise<Alignment | null> {
  if (result.status !== 'changed' || result.experiment.serving.mode !== 'all_to') return null;
  const { serving, variants } = result.experiment;
  const delivered = variants.find(({ variantId }) => variantId === serving.variantId);
  return policyVersionIdIn(delivered?.config ?? {}) === null ? null : alignModels(connection, stages);
}

/** Tags a version as a candidate, unless it is in production. Never fails: the tag only repeats what Postgres says. */
export async function tagCandidate(
  stages: ModelStages | null,
  { name, version }: { readonly name: string; readonly version: number },
): Promise<Alignment> {
  if (stages === null) return { status: 'behind', reason: 'MLFLOW_URL is not set' };
  try {
    if ((await stages.findAlias(name, productionAlias)) === version) return { status: 'in line', changed: [] };
    await stages.markCandidate(name, version);
    return { status: 'in line', changed: [`${name}/${version} is a candidate`] };
  } catch (error) {
    return { status: 'behind', reason: describeError(error) };
  }
}
