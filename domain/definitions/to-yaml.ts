// Stored definitions as the YAML file that gives them again.
import { Document, type YAMLMap } from 'yaml';
import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import { type Experiment, policyVersionIdIn } from '#domain/experiment/experiment.ts';
import type { MetricBody } from '#domain/metrics/metric-body.ts';
import type { ExperimentEntry, PolicyEntry } from './file-schema.ts';
import { formatPolicyVersion, type StoredPolicy } from './policy.ts';

/** The entry of one iteration, without what is not defined. Statuses after `running` are transitions and not part of it. */
export function toExperimentEntry(
  experiment: Experiment,
  nameOfVersion: (policyVersionId: string) => string,
): ExperimentEntry {
  const { layer, holdout, hypothesis, owner, startsAt, endsAt, targeting, ramp, metrics, analysis } = experiment;
  const variantNames = new Map<string, string>(experiment.variants.map(({ variantId, name }) => [variantId, name]));
  const forced = Object.entries(experiment.forcedVariants).map(([unitId, id]) => [unitId, variantNames.get(id) ?? id]);
  const entry = {
    key: experiment.experimentKey as string,
    name: experiment.name,
    iteration: experiment.iteration,
    unit_type: experiment.unitType as string,
    status: experiment.status === 'running' ? 'running' : undefined,
    hypothesis: hypothesis ?? undefined,
    owner: owner ?? undefined,
    coverage: experiment.coverage / FULL_SHARE,
    exposure: experiment.exposure === 'explicit' ? undefined : experiment.exposure,
    starts_at: startsAt ?? undefined,
    ends_at: endsAt ?? undefined,
    targeting: targeting ?? undefined,
    layer: layer ? { id: layer.layerId, start: layer.start / FULL_SHARE, end: layer.end / FULL_SHARE } : undefined,
    holdout: holdout ? { id: holdout.holdoutId, share: holdout.share / FULL_SHARE } : undefined,
    forced_variants: forced.length === 0 ? undefined : Object.fromEntries(forced),
    metrics: Object.keys(metrics).length === 0 ? undefined : metrics,
    analysis: Object.keys(analysis).length === 0 ? undefined : analysis,
    ramp: ramp ?? undefined,
    variants: experiment.variants.map(({ name, allocation, isControl, config }) => {
      const policyVersionId = policyVersionIdIn(config);
      return {
        name,
        allocation: allocation / FULL_SHARE,
        ...(isControl ? { is_control: true } : {}),
        config: policyVersionId === null ? config : { ...config, policy_version_id: nameOfVersion(policyVersionId) },
      };
    }),
  };
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as ExperimentEntry;
}

export function toPolicyEntry({ name, description, versions }: StoredPolicy): PolicyEntry {
  return {
    name,
    ...(description === null ? {} : { description }),
    versions: versions.map(({ version, modelName, modelVersion, configDefaults }) => ({
      version,
      mlflow_model_name: modelName,
      mlflow_model_version: Number.isSafeInteger(Number(modelVersion)) ? Number(modelVersion) : modelVersion,
      ...(Object.keys(configDefaults).length === 0 ? {} : { config_defaults: configDefaults }),
    })),
  };
}

/** One file with all lists; a part that is left out is not written. Comments say what a file cannot ask for. */
export function toDefinitionYaml(stored: {
  readonly experiments?: readonly Experiment[];
  readonly policies: readonly StoredPolicy[];
  readonly withPolicies: boolean;
  readonly metrics?: readonly MetricBody[];
}): string {
  const names = new Map<string, string>(
    stored.policies.flatMap(({ versions }) =>
      versions.map((version) => [version.policyVersionId as string, formatPolicyVersion(version)] as const),
    ),
  );
  const experiments = stored.experiments?.map((experiment) =>
    toExperimentEntry(experiment, (id) => names.get(id) ?? id),
  );
  const document = new Document({
    ...(stored.metrics === undefined ? {} : { metrics: stored.metrics }),
    ...(stored.withPolicies ? { policies: stored.policies.map(toPolicyEntry) } : {}),
    ...(experiments === undefined ? {} : { experiments }),
  });
  stored.experiments?.forEach(({ status, serving }, index) => {
    const remarks = [
      ...(status === 'paused' || status === 'completed' ? [status] : []),
      ...(serving.mode === 'as_assigned' ? [] : [`serving ${serving.mode}`]),
    ];
    if (remarks.length === 0) return;
    const node = document.getIn(['experiments', index], true) as YAMLMap;
    node.commentBefore = ` ${remarks.join(', ')}: changed by commands, which a file does not repeat`;
  });
  return document.toString({ lineWidth: 120 });
}
