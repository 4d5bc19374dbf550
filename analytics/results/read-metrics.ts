// Reads every metric of an experiment as statistics per variant and period, each from where it is kept.
import { isMomentKind, type MetricDefinition, sourcesOf } from '#domain/metrics/metric-definition.ts';
import type { AnalysisSettings } from '#domain/results/analysis-settings.ts';
import type { LoadedExperiment } from '#domain/results/analyze-experiment.ts';
import type { LoadedMetric, PlannedMetric, StatisticCell } from '#domain/results/loaded-metric.ts';
import { toStatistic, type UnitMoments } from '#domain/results/unit-statistics.ts';
import { mergeStatistics } from '#domain/statistics/effect.ts';
import type { NotComputable } from '#domain/statistics/result.ts';
import { proportionSample } from '#domain/statistics/sample.ts';
import { sampleStatistic } from '#domain/statistics/statistic.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { eventTypes } from '#schemas/event-types.ts';
import { findMissingEvents } from './find-missing-events.ts';
import type { MomentMetric } from './moment-sql.ts';
import { capOf, readCap } from './read-caps.ts';
import { readConversions, readEventHorizon } from './read-conversions.ts';
import { readMoments, readPairedMoments } from './read-moments.ts';
import { readQuantiles } from './read-quantiles.ts';
import { readStratumUnits } from './read-strata.ts';
import { type Stratum, type UnitScope, usesStoredSums } from './unit-scope.ts';

export type MetricsOptions = {
  readonly units: LoadedExperiment['units'];
  readonly settings: AnalysisSettings;
  readonly history?: boolean;
  readonly segments?: boolean;
};

/** Event types that are exposures where the definition does not say that every event is. */
export const exposureTypes = Object.entries(eventTypes)
  .filter(([, { isExposure }]) => isExposure)
  .map(([name]) => name);

/** More values of an attribute than these become one segment. */
const mostSegments = 20;
const otherSegments = '(other)';
const noSegment = '(none)';

type Reading = { readonly cells: readonly StatisticCell[]; readonly notes: readonly string[] };

export async function readMetrics(
  tx: Connection,
  scope: UnitScope,
  planned: readonly PlannedMetric[],
  options: MetricsOptions,
): Promise<LoadedMetric[]> {
  const needsEvents = !usesStoredSums(scope) || planned.some(({ definition }) => !isMomentKind(definition.kind));
  const missing = needsEvents || options.segments === true ? await findMissingEvents(tx, scope) : null;
  const failureOf = ({ kind }: MetricDefinition): NotComputable | null =>
    isMomentKind(kind) && usesStoredSums(scope) ? null : missing;
  const readable = planned.map(({ definition }) => definition).filter((definition) => failureOf(definition) === null);
  const read = (stratum: Stratum, units: LoadedExperiment['units'], covariateDays: number) =>
    readStratum(tx, scope, readable, { stratum, units, covariateDays });

  const overall = await read({ by: 'none' }, options.units, options.settings.covariateDays);
  const days = options.history === true ? await readByStratum(tx, scope, { by: 'day' }, read) : null;
  const segments: { attribute: string; readings: Map<string, Reading> }[] = [];
  for (const attribute of options.segments === true && missing === null ? options.settings.segments : []) {
    segments.push({ attribute, readings: await readByStratum(tx, scope, { by: 'attribute', attribute }, read) });
  }
  return planned.map((metric) => {
    const { name } = metric.definition;
    return {
      ...metric,
      failure: failureOf(metric.definition),
      cells: overall.get(name)?.cells ?? [],
      byDay: days?.get(name)?.cells ?? [],
      bySegment: segments.map(({ attribute, readings }) => ({
        attribute,
        cells: joinRareSegments(readings.get(name)?.cells ?? []),
      })),
      notes: overall.get(name)?.notes ?? [],
    };
  });
}

async function readByStratum(
  tx: Connection,
  scope: UnitScope,
  stratum: Stratum,
  read: (stratum: Stratum, units: LoadedExperiment['units'], covariateDays: number) => Promise<Map<string, Reading>>,
): Promise<Map<string, Reading>> {
  return read(stratum, await readStratumUnits(tx, scope, stratum, exposureTypes), 0);
}

type StratumOptions = {
  readonly stratum: Stratum;
  readonly units: LoadedExperiment['units'];
  readonly covariateDays: number;
};

async function readStratum(
  tx: Connection,
  scope: UnitScope,
  definitions: readonly MetricDefinition[],
  options: StratumOptions,
): Promise<Map<string, Reading>> {
  const readings = new Map<string, Reading>();
  const moments = await readMomentMetrics(tx, scope, definitions, options);
  for (const [definition, found] of moments) {
    readings.set(definition.name, { cells: toCells(definition, found.moments, options.units), notes: found.notes });
  }
  if (options.stratum.by === 'none') await addQuantiles(tx, scope, definitions, readings);
  await addConversions(tx, scope, definitions, options, readings);
  return readings;
}

async function readMomentMetrics(
  tx: Connection,
  scope: UnitScope,
  definitions: readonly MetricDefinition[],
  { stratum, units, covariateDays }: StratumOptions,
): Promise<Map<MetricDefinition, { moments: readonly UnitMoments[]; notes: readonly string[] }>> {
  const unitCount = units.reduce((sum, cell) => sum + cell.units, 0);
  const single: MomentMetric[] = [];
  const notesOf = new Map<string, string[]>();
  for (const definition of definitions) {
    const sources = sourcesOf(definition);
    if (!isMomentKind(definition.kind) || sources.length !== 1) continue;
    const metric = { definition, source: sources[0]!, cap: null };
    const cap = capOf(definition);
    const limit = cap === null ? null : await readCap(tx, scope, metric, cap, unitCount);
    if (limit !== null)
      notesOf.set(definition.name, [`Values of units above ${Number(limit.toPrecision(6))} count as it.`]);
    single.push({ ...metric, cap: limit });
  }
  const read = await readMoments(tx, scope, single, { stratum, covariateDays, exposureTypes });
  const result = new Map<MetricDefinition, { moments: readonly UnitMoments[]; notes: readonly string[] }>();
  for (const { definition } of single) {
    result.set(definition, { moments: read.get(definition.name) ?? [], notes: notesOf.get(definition.name) ?? [] });
  }
  for (const definition of definitions) {
    if (definition.kind !== 'ratio' || sourcesOf(definition).length === 1) continue;
    const moments = await readPairedMoments(tx, scope, definition, { stratum, exposureTypes });
    result.set(definition, { moments, notes: ['Without covariate: it divides two different event metrics.'] });
  }
  return result;
}

/** One statistic for every cell of units, also where no unit has a value. */
function toCells(
  definition: MetricDefinition,
  moments: readonly UnitMoments[],
  units: LoadedExperiment['units'],
): StatisticCell[] {
  const found = new Map(moments.map((one) => [`${one.variantId}/${one.period}/${one.stratum}`, one]));
  return units.map(({ variantId, period, stratum, units: unitCount }) => ({
    variantId,
    period,
    stratum,
    statistic: toStatistic(definition, found.get(`${variantId}/${period}/${stratum}`), unitCount),
  }));
}

async function addQuantiles(
  tx: Connection,
  scope: UnitScope,
  definitions: readonly MetricDefinition[],
  readings: Map<string, Reading>,
): Promise<void> {
  const quantiles = definitions.filter((definition) => definition.kind === 'quantile');
  for (const [metricName, ofMetric] of Map.groupBy(quantiles, ({ metric }) => metric)) {
    const levels = [...new Set(ofMetric.map(({ level }) => level))];
    const cells = await readQuantiles(tx, scope, metricName, levels);
    for (const { name, level } of ofMetric) {
      readings.set(name, {
        cells: cells
          .filter((cell) => cell.level === level)
          .map(({ variantId, statistic }) => ({ variantId, period: 0, stratum: '', statistic })),
        notes: scope.timeline.periods.length > 1 ? ['All assignment periods together: quantiles do not add up.'] : [],
      });
    }
  }
}

async function addConversions(
  tx: Connection,
  scope: UnitScope,
  definitions: readonly MetricDefinition[],
  { stratum }: StratumOptions,
  readings: Map<string, Reading>,
): Promise<void> {
  const conversions = definitions.filter((definition) => definition.kind === 'conversion');
  const horizon = conversions.length === 0 ? null : await readEventHorizon(tx);
  if (horizon === null) return;
  for (const definition of conversions) {
    const { cells, openUnits } = await readConversions(tx, scope, definition, { stratum, exposureTypes, horizon });
    readings.set(definition.name, {
      cells: cells.map(({ units, converted, ...cell }) => ({
        ...cell,
        statistic: sampleStatistic(proportionSample({ count: units, successes: converted })),
      })),
      notes: openUnits === 0 ? [] : [`${openUnits} units are not counted yet: their window has not closed.`],
    });
  }
}

/** The largest segments, the others together; units without the attribute are a segment too. */
function joinRareSegments(cells: readonly StatisticCell[]): StatisticCell[] {
  const named = cells.map((cell) => ({ ...cell, stratum: cell.stratum === '' ? noSegment : cell.stratum }));
  const sizes = [...Map.groupBy(named, ({ stratum }) => stratum)].map(
    ([stratum, ofStratum]) => [stratum, ofStratum.reduce((sum, { statistic }) => sum + statistic.count, 0)] as const,
  );
  if (sizes.length <= mostSegments) return named;
  const kept = new Set(
    sizes
      .sort(([, a], [, b]) => b - a)
      .slice(0, mostSegments - 1)
      .map(([stratum]) => stratum),
  );
  const joined = Map.groupBy(named, ({ variantId, period, stratum }) =>
    [variantId, period, kept.has(stratum) ? stratum : otherSegments].join('\0'),
  );
  return [...joined.values()].map((group) => ({
    ...group[0]!,
    stratum: kept.has(group[0]!.stratum) ? group[0]!.stratum : otherSegments,
    statistic: mergeStatistics(group.map(({ statistic }) => statistic)),
  }));
}
