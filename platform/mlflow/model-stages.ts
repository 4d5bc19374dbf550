// Stages of model versions: the alias `production` is the one source of truth, and the tag `stage` says the same to people.
import { FatalError } from '#platform/errors.ts';
import { callMlflow, findInMlflow } from './mlflow-call.ts';
import type { MlflowClient } from './mlflow-client.ts';
import { createModelRegistry, type ModelVersion } from './model-registry.ts';

export const productionAlias = 'production';
export const stageTag = 'stage';
/** A version is `trained`, `candidate` after a passed gate, `production` while the alias names it, `retired` afterwards. */
export type ModelStage = 'trained' | 'candidate' | 'production' | 'retired';

export type ModelStages = {
  /** The version that the alias names, or null. */
  findAlias(modelName: string, alias: string): Promise<number | null>;
  setAlias(modelName: string, alias: string, version: number): Promise<void>;
  deleteAlias(modelName: string, alias: string): Promise<void>;
  setVersionTag(modelName: string, version: number, key: string, value: string): Promise<void>;
  /** @throws FatalError for the production version: it is a candidate no more. */
  markCandidate(modelName: string, version: number): Promise<void>;
  /** Points the alias at the version and brings all tags in line with it. Repeating it changes nothing. */
  setProduction(modelName: string, version: number): Promise<void>;
  /** Takes the alias away; the version that had it is retired. */
  retireProduction(modelName: string): Promise<void>;
  /** Brings the tags in line with the alias, as after a crash between the two. Returns the versions that were changed. */
  repairStages(modelName: string): Promise<number[]>;
  /** In words: every version whose tag does not say what the alias says. */
  findStageProblems(modelName: string): Promise<string[]>;
};

export function createModelStages(client: MlflowClient): ModelStages {
  const registry = createModelRegistry(client);

  const setVersionTag: ModelStages['setVersionTag'] = async (name, version, key, value) => {
    await callMlflow(client, `tag ${key} of model ${name} version ${version}`, {
      method: 'POST',
      path: 'model-versions/set-tag',
      body: { name, version: String(version), key, value },
      isRepeatable: true,
    });
  };
  const findAlias: ModelStages['findAlias'] = async (name, alias) => {
    // A model without this alias is refused like a bad request, so the aliases of the model are read instead.
    const found = await findInMlflow(client, `model ${name}`, { path: 'registered-models/get', query: { name } });
    const { aliases = [] } = (found?.registered_model ?? {}) as { aliases?: { alias: string; version: string }[] };
    const entry = aliases.find((known) => known.alias === alias);
    return entry === undefined ? null : Number(entry.version);
  };
  const deleteAlias: ModelStages['deleteAlias'] = async (name, alias) => {
    if ((await findAlias(name, alias)) === null) return;
    await callMlflow(client, `the end of alias ${alias} of model ${name}`, {
      method: 'DELETE',
      path: 'registered-models/alias',
      body: { name, alias },
      isRepeatable: true,
    });
  };
  const getVersion = async (name: string, version: number): Promise<ModelVersion> => {
    const found = await registry.lookUp(name, String(version));
    if (found.state === 'ready') return found.modelVersion;
    throw new FatalError(`model ${name} version ${version} cannot be used: ${found.explanation}`, {
      code: 'config-invalid',
    });
  };
  /** What the tag should say, or null where it is right. */
  const wantedStage = (version: ModelVersion, production: number | null): ModelStage | null => {
    const stage = version.tags[stageTag];
    if (version.version === production) return stage === 'production' ? null : 'production';
    return stage === 'production' ? 'retired' : null;
  };
  const listWrong = async (name: string) => {
    const production = await findAlias(name, productionAlias);
    const versions = (await registry.listVersions(name)) ?? [];
    return versions.flatMap((version) => {
      const wanted = wantedStage(version, production);
      return wanted === null ? [] : [{ version, wanted }];
    });
  };
  const repairStages: ModelStages['repairStages'] = async (name) => {
    const wrong = await listWrong(name);
    for (const { version, wanted } of wrong) await setVersionTag(name, version.version, stageTag, wanted);
    return wrong.map(({ version }) => version.version);
  };

  return {
    findAlias,
    deleteAlias,
    setVersionTag,
    repairStages,
    setAlias: async (name, alias, version) => {
      await callMlflow(client, `alias ${alias} of model ${name}`, {
        method: 'POST',
        path: 'registered-models/alias',
        body: { name, alias, version: String(version) },
        isRepeatable: true,
      });
    },
    async markCandidate(name, version) {
      await getVersion(name, version);
      if ((await findAlias(name, productionAlias)) === version) {
        throw new FatalError(`model ${name} version ${version} is in production: it cannot become a candidate`, {
          code: 'config-invalid',
        });
      }
      await setVersionTag(name, version, stageTag, 'candidate');
    },
    async setProduction(name, version) {
      await getVersion(name, version);
      // Commit point: the alias. The tags follow it, and repairStages finishes what a crash leaves undone.
      await this.setAlias(name, productionAlias, version);
      await repairStages(name);
    },
    async retireProduction(name) {
      await deleteAlias(name, productionAlias);
      await repairStages(name);
    },
    findStageProblems: async (name) =>
      (await listWrong(name)).map(
        ({ version, wanted }) =>
          `model ${name} version ${version.version} has ${stageTag}=${version.tags[stageTag] ?? '(none)'}, and the alias ${productionAlias} says ${wanted}`,
      ),
  };
}
