// The query that turns per-unit sums into moments per variant, for several metrics in one pass; text only.
import type { MetricDefinition, UnitNumber } from '#domain/metrics/metric-definition.ts';
import type { Parameters } from './unit-scope.ts';

/** A metric whose numbers all come from one event metric, with its cap as a number. */
export type MomentMetric = {
  readonly definition: MetricDefinition;
  readonly source: string;
  readonly cap: number | null;
};

/** Metrics that can share a pass: at most one of each source. */
export function layerMetrics(metrics: readonly MomentMetric[]): MomentMetric[][] {
  const layers: MomentMetric[][] = [];
  for (const metric of metrics) {
    const layer = layers.find((others) => others.every(({ source }) => source !== metric.source));
    if (layer === undefined) layers.push([metric]);
    else layer.push(metric);
  }
  return layers;
}

/** SQL of one number of a unit; columns count, sum, min and max carry the prefix. */
export function unitNumberSql({ take }: Pick<UnitNumber, 'take'>, prefix: string): string {
  return `${prefix}${take}::float8`;
}

function numberSql({ definition, cap }: MomentMetric, prefix: string, parameters: Parameters): string {
  const capped = (text: string): string => (cap === null ? text : `least(${text}, ${parameters.add(cap)}::float8)`);
  switch (definition.kind) {
    case 'sum':
      return capped(unitNumberSql(definition.of, prefix));
    case 'mean':
      return capped(`${prefix}sum / ${prefix}count::float8`);
    case 'proportion':
      return `(${unitNumberSql(definition.of, prefix)} >= ${parameters.add(definition.atLeast)}::float8)::int::float8`;
    case 'ratio':
      return unitNumberSql(definition.numerator, prefix);
    default:
      throw new TypeError(`${definition.name} is not computed from per-unit sums`);
  }
}

function denominatorSql({ definition }: MomentMetric, prefix: string): string {
  return definition.kind === 'ratio' ? unitNumberSql(definition.denominator, prefix) : '0::float8';
}

/** One expression for all rows of a layer: the same text for all, or chosen by the row's metric. */
function chooseSql(
  layer: readonly MomentMetric[],
  parameters: Parameters,
  expressionOf: (metric: MomentMetric) => string,
): string {
  const expressions = layer.map(expressionOf);
  if (new Set(expressions).size === 1) return expressions[0]!;
  const cases = layer.map(({ source }, index) => `WHEN ${parameters.add(source)}::text THEN ${expressions[index]}`);
  return `CASE metric_name ${cases.join(' ')} END`;
}

/** Columns `x` and `y` of a layer from columns with a prefix. */
export function pairSql(
  layer: readonly MomentMetric[],
  parameters: Parameters,
  prefix: string,
): { x: string; y: string } {
  return {
    x: chooseSql(layer, parameters, (metric) => numberSql(metric, prefix, parameters)),
    y: chooseSql(layer, parameters, (metric) => denominatorSql(metric, prefix)),
  };
}

/** Before the exposure nothing is capped, and units without values have zeros, or for a mean of their own the mean of the others. */
export function covariateSql(layer: readonly MomentMetric[], parameters: Parameters): { x: string; y: string } {
  return {
    x: chooseSql(layer, parameters, (metric) => {
      const uncapped = numberSql({ ...metric, cap: null }, 'r_', parameters);
      return metric.definition.kind === 'mean'
        ? `CASE WHEN p_count IS NOT NULL THEN coalesce(${uncapped}, pre_mean) END`
        : `coalesce(${uncapped}, 0)`;
    }),
    y: chooseSql(layer, parameters, (metric) => `coalesce(${denominatorSql(metric, 'r_')}, 0)`),
  };
}

/** Aggregates of two columns that share one state in Postgres. */
export function regressionSql(name: string, x: string, y: string): string {
  return `regr_count(${y}, ${x}) AS ${name}_n, regr_avgx(${y}, ${x}) AS ${name}_x_mean, regr_sxx(${y}, ${x}) AS ${name}_x_m2,
    regr_avgy(${y}, ${x}) AS ${name}_y_mean, regr_syy(${y}, ${x}) AS ${name}_y_m2, regr_sxy(${y}, ${x}) AS ${name}_xy`;
}
