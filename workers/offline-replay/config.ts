// Settings of one offline replay: what is replayed, how it is resampled, and the gate's tolerances.
import { defaultTolerances } from '#domain/offline-evaluation/gate.ts';
import { mlflowSettings, objectStoreSettings, postgresSettings } from '#platform/config/common-settings.ts';
import { defineConfig, integer, optionalSetting, type Parser, setting, text } from '#platform/config/settings.ts';

export type ModelReference = { readonly name: string; readonly version: number };

const modelReference: Parser<ModelReference> = {
  expected: 'a registered model version such as planner_model/3',
  parse: (value) => {
    const [, name, version] = /^(.+)\/([1-9]\d{0,8})$/.exec(value) ?? [];
    return name === undefined ? undefined : { name, version: Number(version) };
  },
};

const datasetVersion: Parser<string> = {
  expected: 'a dataset version of 64 hex digits',
  parse: (value) => (/^[0-9a-f]{64}$/.test(value) ? value : undefined),
};

const share: Parser<number> = {
  expected: 'a number from 0 to 1',
  parse: (value) => (/^(0(\.\d+)?|1(\.0+)?)$/.test(value) ? Number(value) : undefined),
};

export const offlineReplayConfig = defineConfig({
  postgres: postgresSettings,
  objectStore: objectStoreSettings,
  mlflow: mlflowSettings,
  replay: {
    model: setting('REPLAY_MODEL', modelReference, 'Model version that is judged'),
    datasetVersion: setting('REPLAY_DATASET', datasetVersion, 'Dataset whose test split is planned again'),
    baseline: optionalSetting(
      'REPLAY_BASELINE',
      modelReference,
      'Model version that it is compared with; the rule-based planner of this release when absent',
    ),
    seed: setting('REPLAY_SEED', integer({ min: 0, max: 2 ** 31 - 1 }), 'Seed of draws and resamples', { default: 1 }),
    samples: setting('REPLAY_SAMPLES', integer({ min: 200, max: 100_000 }), 'Resamples behind each interval', {
      default: 2_000,
    }),
    python: setting('TRAINING_PYTHON', text, 'Python with the packages of training/requirements-cpu.txt', {
      default: 'python3',
    }),
  },
  gate: {
    alignmentLoss: setting(
      'GATE_ALIGNMENT_LOSS',
      share,
      'plan_alignment_score may be lower than the baseline by less',
      {
        default: defaultTolerances.alignmentLoss,
      },
    ),
    editGain: setting('GATE_EDIT_GAIN', share, 'edit_distance_score must be higher than the baseline by more', {
      default: defaultTolerances.editGain,
    }),
    diversityLoss: setting('GATE_DIVERSITY_LOSS', share, 'diversity_score may be lower than the baseline by less', {
      default: defaultTolerances.diversityLoss,
    }),
    unconstrainedRespect: setting(
      'GATE_UNCONSTRAINED_RESPECT',
      share,
      'Least constraint_respect_score of plans decoded without constraints',
      { default: defaultTolerances.unconstrainedRespect },
    ),
    smallestHouseholds: setting(
      'GATE_SMALLEST_HOUSEHOLDS',
      integer({ min: 2, max: 1_000_000 }),
      'Fewer households in the test split decide nothing',
      { default: defaultTolerances.smallestHouseholds },
    ),
  },
});
