// The definitions of several files as one set: keys filled in, references to policy versions resolved, duplicates refused.
import { policyIdOf, policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { PolicyVersionId } from '#domain/experiment/ids.ts';
import type { MetricBody } from '#domain/metrics/metric-body.ts';
import { parseMetric } from '#domain/metrics/metric-definition.ts';
import type { JsonObject } from '#domain/targeting/condition.ts';
import { type DefinitionBody, describeBadReference, policyReferenceField } from './definition-body.ts';
import type { DefinitionFile, ExperimentEntry, PolicyEntry } from './file-schema.ts';
import { formatPolicyVersion, type Policy, type PolicyVersion, resolvePolicyVersion } from './policy.ts';
import { formatPath, type LocatedProblem, type PathPart, type YamlSource } from './yaml-source.ts';

/** Makes a problem of one entry: `field` is a path below it, such as `variants[0].allocation`. */
export type ProblemAt = (field: string, message: string) => LocatedProblem;

export type DefinedMetric = { readonly body: MetricBody; readonly problemAt: ProblemAt };
export type DefinedPolicy = { readonly policy: Policy; readonly problemAt: ProblemAt };
export type DefinedExperiment = {
  readonly body: DefinitionBody;
  readonly references: readonly { readonly policyVersionId: PolicyVersionId; readonly field: string }[];
  readonly problemAt: ProblemAt;
};

export type DefinitionSet = {
  readonly policies: readonly DefinedPolicy[];
  readonly metrics: readonly DefinedMetric[];
  readonly experiments: readonly DefinedExperiment[];
};

export type DefinitionSetResult =
  | { readonly ok: true; readonly set: DefinitionSet }
  | { readonly ok: false; readonly problems: readonly LocatedProblem[] };

export type SourceFile = { readonly source: YamlSource; readonly content: DefinitionFile };

/** Puts checked files together. `isStored` tells of policy versions that the files may refer to without defining them. */
export function createDefinitionSet(
  files: readonly SourceFile[],
  isStored: (id: PolicyVersionId) => boolean,
): DefinitionSetResult {
  const problems: LocatedProblem[] = [];
  const policies = files.flatMap(({ source, content }) =>
    (content.policies ?? []).map((entry, index): DefinedPolicy => {
      const problemAt = createProblemAt(source, ['policies', index]);
      return { policy: toPolicy(entry, problemAt, problems), problemAt };
    }),
  );
  const metrics = files.flatMap(({ source, content }) =>
    (content.metrics ?? []).map((body, index): DefinedMetric => {
      const problemAt = createProblemAt(source, ['metrics', index]);
      const parsed = parseMetric(body);
      if (!parsed.ok) problems.push(...parsed.problems.map(({ field, message }) => problemAt(field, message)));
      return { body, problemAt };
    }),
  );
  const defined = new Set(policies.flatMap(({ policy }) => policy.versions.map((version) => version.policyVersionId)));
  const isKnown = (id: PolicyVersionId): boolean => defined.has(id) || isStored(id);
  const experiments = files.flatMap(({ source, content }) =>
    (content.experiments ?? []).map((entry, index) =>
      toExperiment(entry, createProblemAt(source, ['experiments', index]), isKnown, problems),
    ),
  );
  reportRepeated(policies, ({ policy }) => policy.name, 'name', problems);
  reportRepeated(metrics, ({ body }) => body.name, 'name', problems);
  reportRepeated(
    experiments,
    ({ body }) => `${body.key}${body.iteration === undefined ? '' : `, iteration ${body.iteration}`}`,
    'key',
    problems,
  );
  return problems.length === 0 ? { ok: true, set: { policies, metrics, experiments } } : { ok: false, problems };
}

function createProblemAt(source: YamlSource, base: readonly PathPart[]): ProblemAt {
  return (field, message) => ({
    file: source.file,
    ...source.locateText(base, field),
    path: field === '' ? formatPath(base) : `${formatPath(base)}.${field}`,
    message,
  });
}

function reportRepeated<Item extends { readonly problemAt: ProblemAt }>(
  items: readonly Item[],
  nameOf: (item: Item) => string,
  field: string,
  problems: LocatedProblem[],
): void {
  const first = new Map<string, Item>();
  for (const item of items) {
    const name = nameOf(item);
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, item);
    else {
      const { file, line } = earlier.problemAt(field, '');
      problems.push(item.problemAt(field, `${name} is already defined in ${file}, line ${line}`));
    }
  }
}

function toPolicy(entry: PolicyEntry, problemAt: ProblemAt, problems: LocatedProblem[]): Policy {
  const versions = entry.versions.map(
    (version): PolicyVersion => ({
      policyVersionId: policyVersionIdOf(entry.name, version.version),
      policyName: entry.name,
      version: version.version,
      modelName: version.mlflow_model_name,
      modelVersion: String(version.mlflow_model_version),
      configDefaults: (version.config_defaults ?? {}) as JsonObject,
    }),
  );
  versions.forEach((version, index) => {
    if (versions.findIndex((other) => other.version === version.version) < index) {
      problems.push(
        problemAt(`versions[${index}].version`, `${formatPolicyVersion(version)} is already defined above`),
      );
    }
  });
  return { policyId: policyIdOf(entry.name), name: entry.name, description: entry.description ?? null, versions };
}

const keyPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

function toExperiment(
  entry: ExperimentEntry,
  problemAt: ProblemAt,
  isKnown: (id: PolicyVersionId) => boolean,
  problems: LocatedProblem[],
): DefinedExperiment {
  const key = entry.key ?? entry.name;
  if (key === undefined) problems.push(problemAt('', 'key or name is missing'));
  else if (entry.key === undefined && !keyPattern.test(key)) {
    problems.push(
      problemAt('name', `"${key}" cannot serve as the key (letters, digits, dots, _ and -): give a key too`),
    );
  }
  const references = entry.variants.flatMap(({ config }, index) => {
    const reference = config?.policy_version_id;
    if (reference === undefined) return [];
    const field = policyReferenceField(index);
    const policyVersionId = resolvePolicyVersion(reference);
    if (policyVersionId === null) {
      problems.push(problemAt(field, describeBadReference(reference)));
      return [];
    }
    if (!isKnown(policyVersionId)) {
      problems.push(problemAt(field, `there is no policy version ${reference}: define it under policies`));
    }
    return [{ policyVersionId, field }];
  });
  return { body: { ...entry, key: key ?? '' }, references, problemAt };
}
