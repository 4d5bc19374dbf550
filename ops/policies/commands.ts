// `ops policies list | bootstrap | register-baseline`.
import type { Command } from 'commander';
import { parsePolicyVersionName } from '#domain/definitions/policy.ts';
import { FatalError } from '#platform/errors.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { findModelProblem } from '#producers/definition-store/model-check.ts';
import { bootstrapPolicyVersion, listPolicies } from '#producers/definition-store/policy-rows.ts';
import { registerBaseline } from '#producers/definition-store/register-baseline.ts';
import { type Alignment, alignModels } from '#producers/promotion-store/align-models.ts';
import { definitionsConfig } from '../apply/definitions-config.ts';
import { type Definitions, withDefinitions } from '../apply/open-definitions.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseReason } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { tellAlignment } from '../promotion/tell-alignment.ts';

const refusal = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });

/** @throws FatalError when the version does not exist, is not the first, or its model is not registered. */
export async function bootstrapPolicy(
  { pool, models, stages }: Definitions,
  reference: string,
  author: { actor: string; reason: string },
): Promise<{ text: string; mlflow: Alignment }> {
  const named = parsePolicyVersionName(reference);
  if (named === null) throw refusal(`${reference} is not policy@version, such as planner@1`);
  const { policyName: name, version } = named;
  const stored = (await listPolicies(pool)).find((policy) => policy.name === name);
  const candidate = stored?.versions.find((known) => known.version === version);
  const problem = candidate === undefined ? null : await findModelProblem(models, candidate);
  if (problem !== null) throw refusal(problem.message);
  const result = await inTransaction(pool, (tx) => bootstrapPolicyVersion(tx, { name, version }, author));
  if (result.status === 'refused') throw refusal(result.message);
  const { modelName, modelVersion, firstProductionAt } = result.version;
  // Postgres has decided; the alias and the tags in MLflow say the same from here on.
  const mlflow = await alignModels(pool, stages, [modelName]);
  const text =
    result.status === 'unchanged'
      ? `${reference} is in production since ${firstProductionAt}: nothing to do`
      : `${reference} is in production (MLflow model ${modelName} version ${modelVersion})`;
  return { text, mlflow };
}

export function addPolicyCommands(program: Command, commandLine: CommandLine): void {
  const { print, actor, settingsOf } = commandLine;
  const policies = program.command('policies').description('policies and the model versions they name');

  policies
    .command('list')
    .description('every policy version, its model and whether it was in production')
    .option('--json', 'one JSON object', false)
    .action(({ json }: { json: boolean }) =>
      withDefinitions(commandLine, async ({ pool }) => {
        const versions = (await listPolicies(pool)).flatMap((policy) => policy.versions);
        if (json) return print(toJson({ policy_versions: versions }));
        const rows = versions.map((version) => [
          version.policyName,
          version.version,
          version.status,
          version.modelName,
          version.modelVersion,
          version.firstProductionAt,
          version.policyVersionId,
        ]);
        print(
          formatTable(['policy', 'version', 'status', 'model', 'model version', 'in production since', 'id'], rows),
        );
      }),
    );

  policies
    .command('bootstrap')
    .description('declare that the first version of a policy is in production')
    .argument('<policy@version>')
    .requiredOption('--reason <text>', 'why, for the record', parseReason)
    .action((reference: string, { reason }: { reason: string }) =>
      withDefinitions(commandLine, async (definitions) => {
        const { text, mlflow } = await bootstrapPolicy(definitions, reference, { actor, reason });
        print(text);
        tellAlignment(commandLine, mlflow);
      }),
    );

  policies
    .command('register-baseline')
    .description('register the rule-based planner in MLflow, unless this version of it is there')
    .action(async () => {
      const { mlflowUrl } = settingsOf(definitionsConfig);
      if (mlflowUrl === undefined) throw refusal('set MLFLOW_URL to the address of the MLflow server');
      const { version, isNew } = await registerBaseline(createMlflowClient({ url: mlflowUrl }));
      print(`planner-rule-based version ${version} ${isNew ? 'is registered' : 'was already registered'}`);
    });
}
