// The results of an experiment from Postgres: everything is read from one snapshot, then analyzed.

import type { Experiment } from '#domain/experiment/experiment.ts';
import { resolveAnalysis } from '#domain/results/analysis-settings.ts';
import { analyzeExperiment, type LoadedExperiment } from '#domain/results/analyze-experiment.ts';
import { planMetrics } from '#domain/results/loaded-metric.ts';
import type { ExperimentResults } from '#domain/results/results.ts';
import { type DefinitionState, planTimeline } from '#domain/results/timeline.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import {
  type Connection,
  listIterations,
  selectCurrentIteration,
} from '#producers/definition-store/definition-rows.ts';
import { readMetricDefinitions } from '#producers/definition-store/metric-rows.ts';
import { readMetrics } from './read-metrics.ts';
import { readUnits } from './read-units.ts';

export type ResultsOptions = {
  /** Effects cumulated by day of first exposure; reads every unit once more. */
  readonly history?: boolean;
  /** Effects by the segments of the definition; reads the contexts of exposures. */
  readonly segments?: boolean;
};

/** Results of the current iteration of a key, or of the iteration with this id; null when there is none. Reads only. */
export async function readResults(
  pool: Pool,
  keyOrId: string,
  options: ResultsOptions = {},
): Promise<ExperimentResults | null> {
  return inSnapshot(pool, async (tx) => {
    const iterations = (await listIterations(tx, keyOrId)).map(({ experiment }) => experiment);
    const experiment = selectCurrentIteration(iterations);
    return experiment === null ? null : analyzeExperiment(await loadExperiment(tx, experiment, options));
  });
}

/** Runs `read` on one state of the database, with settings for few large queries. */
export async function inSnapshot<T>(pool: Pool, read: (tx: PoolClient) => Promise<T>): Promise<T> {
  const tx = await pool.connect();
  let broken: Error | undefined;
  try {
    await tx.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    // Hash tables of a million units fit, and compiling takes longer than running. Nested loops only win when there are few rows, and
    // lose by hours when the planner's statistics do not know a young experiment yet.
    await tx.query("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off");
    const result = await read(tx);
    await tx.query('COMMIT');
    return result;
  } catch (error) {
    await tx.query('ROLLBACK').catch((failure: unknown) => {
      broken = failure instanceof Error ? failure : new Error(String(failure));
    });
    throw error;
  } finally {
    tx.release(broken);
  }
}

export async function loadExperiment(
  tx: Connection,
  experiment: Experiment,
  options: ResultsOptions,
): Promise<LoadedExperiment> {
  const settings = resolveAnalysis(experiment.analysis);
  const { states, forcedUnitIds, asOfMs } = await readDefinitionHistory(tx, experiment);
  const base = {
    experimentId: experiment.experimentId as string,
    unitType: experiment.unitType as string,
    isImplicit: experiment.exposure === 'implicit',
    timeline: planTimeline(states, experiment.variants),
  };
  const { excludedUnitIds, firstDay, ...counts } = await readUnits(tx, base, forcedUnitIds);
  const scope = { ...base, excludedUnitIds, firstDay };
  const planned = planMetrics(experiment, await readMetricDefinitions(tx));
  return {
    experiment,
    timeline: base.timeline,
    settings,
    asOfMs,
    ...counts,
    metrics: await readMetrics(tx, scope, planned, { units: counts.units, settings, ...options }),
  };
}

type HistoryRow = {
  changed_at: Date;
  definition: {
    coverage: number;
    status: Experiment['status'];
    serving: { mode: Experiment['serving']['mode'] };
    forced_variants?: Record<string, string>;
  };
};

/** What the definition was when; an experiment without a stored history has been as it is for ever. */
async function readDefinitionHistory(
  tx: Connection,
  experiment: Experiment,
): Promise<{ states: DefinitionState[]; forcedUnitIds: string[]; asOfMs: number }> {
  const { rows } = await tx.query<HistoryRow>(
    'SELECT changed_at, definition FROM exp.experiment_versions WHERE experiment_id = $1 ORDER BY version',
    [experiment.experimentId],
  );
  const clock = await tx.query<{ now: Date }>('SELECT now() AS now');
  const forced = [experiment.forcedVariants, ...rows.map(({ definition }) => definition.forced_variants ?? {})];
  const states = rows.map(({ changed_at, definition }) => ({
    atMs: changed_at.getTime(),
    status: definition.status,
    coverage: Math.round(definition.coverage * 10_000),
    serving: definition.serving.mode,
  }));
  const { status, coverage, serving } = experiment;
  return {
    states: states.length > 0 ? states : [{ atMs: 0, status, coverage, serving: serving.mode }],
    forcedUnitIds: [...new Set(forced.flatMap(Object.keys))],
    asOfMs: clock.rows[0]!.now.getTime(),
  };
}
