// What a metric of an experiment is: how the values of one unit become a number, how units become a result, what is good.
import type { MetricBody } from './metric-body.ts';

/** One number of a unit, from its values of one event metric since its first exposure. */
export type UnitNumber = { readonly metric: string; readonly take: 'sum' | 'count' | 'min' | 'max' };

/** Winsorization of the values of units, with the same limit for every variant. */
export type Cap = { readonly at: number } | { readonly quantile: number; readonly ignoreZeros: boolean };

type Common = {
  readonly name: string;
  readonly description: string | null;
  /** Such as `ms`; for people. */
  readonly unit: string | null;
  readonly better: 'increase' | 'decrease';
  /** How effects are stated: as a share of the control value, or in units of the metric. */
  readonly scale: 'relative' | 'absolute';
  /** The smallest effect worth finding, on the scale. */
  readonly minimumEffect: number | null;
  /** The largest harm that is accepted of it as a guardrail, on the scale, not negative. */
  readonly guardrailBound: number;
};

/**
 * `sum`: mean over all units of a number that is 0 where the unit has no value. `mean`: mean over units with values of each
 * unit's own mean. `proportion`: share of all units whose number is at least the limit. `ratio`: sum over units divided by another
 * sum over the same units, such as the mean per event. `quantile`: of all values, clustered by unit. `conversion`: share of units
 * with a matching event in a window after their first exposure, among the units whose window has closed.
 */
export type MetricDefinition = Common &
  (
    | { readonly kind: 'sum'; readonly of: UnitNumber; readonly cap: Cap | null }
    | { readonly kind: 'mean'; readonly metric: string; readonly cap: Cap | null }
    | { readonly kind: 'proportion'; readonly of: UnitNumber; readonly atLeast: number }
    | { readonly kind: 'ratio'; readonly numerator: UnitNumber; readonly denominator: UnitNumber }
    | { readonly kind: 'quantile'; readonly metric: string; readonly level: number }
    | ConversionDefinition
  );

export type ConversionDefinition = {
  readonly kind: 'conversion';
  /** Null: any type. */
  readonly eventType: string | null;
  /** The event's own value of this metric has to be at least the limit; null: the event is enough. */
  readonly metric: string | null;
  readonly atLeast: number;
  /** The window [from, within) after the first exposure, in ms. */
  readonly fromMs: number;
  readonly withinMs: number;
};

export type MetricKind = MetricDefinition['kind'];

/** Kinds that are computed from the sums that the stream keeps per unit; the others read events. */
export function isMomentKind(kind: MetricKind): boolean {
  return kind !== 'quantile' && kind !== 'conversion';
}

/** What a name means that nobody has defined: the average over the events that carry a metric of this name. */
export function undefinedMetric(name: string): MetricDefinition {
  return {
    name,
    description: `Average of ${name} over events; nobody has defined it otherwise`,
    unit: null,
    better: 'increase',
    scale: 'relative',
    minimumEffect: null,
    guardrailBound: 0,
    kind: 'ratio',
    numerator: { metric: name, take: 'sum' },
    denominator: { metric: name, take: 'count' },
  };
}

/** Names of the event metrics that a metric is made of. */
export function sourcesOf(metric: MetricDefinition): readonly string[] {
  switch (metric.kind) {
    case 'sum':
    case 'proportion':
      return [metric.of.metric];
    case 'mean':
    case 'quantile':
      return [metric.metric];
    case 'ratio':
      return [...new Set([metric.numerator.metric, metric.denominator.metric])];
    case 'conversion':
      return metric.metric === null ? [] : [metric.metric];
  }
}

export type MetricProblem = { readonly field: string; readonly message: string };
export type ParsedMetric =
  | { readonly ok: true; readonly metric: MetricDefinition }
  | { readonly ok: false; readonly problems: readonly MetricProblem[] };

type OwnField = 'of' | 'numerator' | 'denominator' | 'at_least' | 'level' | 'event_type' | 'from' | 'within' | 'cap';

/** Fields that a kind needs, and those that it may have besides. */
const fieldsOfKind: Readonly<
  Record<MetricKind, { readonly needs: readonly OwnField[]; readonly may: readonly OwnField[] }>
> = {
  sum: { needs: ['of'], may: ['cap'] },
  mean: { needs: ['of'], may: ['cap'] },
  proportion: { needs: ['of'], may: ['at_least'] },
  ratio: { needs: ['numerator', 'denominator'], may: [] },
  quantile: { needs: ['of', 'level'], may: [] },
  conversion: { needs: ['within'], may: ['event_type', 'of', 'at_least', 'from'] },
};
const ownFields: readonly OwnField[] = [
  ...new Set(Object.values(fieldsOfKind).flatMap(({ needs, may }) => [...needs, ...may])),
];

/** A body that fits the schema as a definition, or everything that is wrong with it. */
export function parseMetric(body: MetricBody): ParsedMetric {
  const problems: MetricProblem[] = [];
  const { needs, may } = fieldsOfKind[body.kind];
  for (const field of needs) {
    if (body[field] === undefined) problems.push({ field, message: `a metric of kind ${body.kind} needs ${field}` });
  }
  for (const field of ownFields) {
    if (body[field] === undefined || needs.includes(field) || may.includes(field)) continue;
    const allowed = [...needs, ...may].join(', ');
    problems.push({ field, message: `a metric of kind ${body.kind} has no ${field}; it has ${allowed}` });
  }
  if ((body.kind === 'mean' || body.kind === 'quantile') && typeof body.of === 'object') {
    problems.push({
      field: 'of',
      message: `a metric of kind ${body.kind} takes the values themselves: give a name only`,
    });
  }
  if (body.kind === 'conversion') problems.push(...findWindowProblems(body));
  const cap = body.cap;
  if (cap !== undefined && (cap.at === undefined) === (cap.quantile === undefined)) {
    problems.push({ field: 'cap', message: 'give either at or quantile' });
  }
  if (cap?.ignore_zeros !== undefined && cap.quantile === undefined) {
    problems.push({ field: 'cap.ignore_zeros', message: 'belongs to quantile' });
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, metric: toMetric(body) };
}

function findWindowProblems(body: MetricBody): MetricProblem[] {
  const problems: MetricProblem[] = [];
  if (body.event_type === undefined && body.of === undefined) {
    problems.push({ field: 'event_type', message: 'a conversion needs event_type, of, or both' });
  }
  if (typeof body.of === 'object') {
    problems.push({ field: 'of', message: 'a conversion looks at single events: give a name only' });
  }
  if (body.at_least !== undefined && body.of === undefined) {
    problems.push({ field: 'at_least', message: 'needs of: the metric that is compared with it' });
  }
  if (body.within !== undefined && toMs(body.within) <= toMs(body.from ?? '0m')) {
    problems.push({ field: 'within', message: `the window must close after it opens (${body.from ?? '0m'})` });
  }
  return problems;
}

const msOfUnit = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

function toMs(text: string): number {
  return Number(text.slice(0, -1)) * msOfUnit[text.slice(-1) as keyof typeof msOfUnit];
}

function toMetric(body: MetricBody): MetricDefinition {
  const common: Common = {
    name: body.name,
    description: body.description ?? null,
    unit: body.unit ?? null,
    better: body.better ?? 'increase',
    scale: body.scale ?? 'relative',
    minimumEffect: body.minimum_effect ?? null,
    guardrailBound: body.guardrail_bound ?? 0,
  };
  switch (body.kind) {
    case 'sum':
      return { ...common, kind: 'sum', of: toUnitNumber(body.of, 'sum'), cap: toCap(body.cap) };
    case 'mean':
      return { ...common, kind: 'mean', metric: nameIn(body.of), cap: toCap(body.cap) };
    case 'proportion':
      // A unit counts when any of its values reaches the limit, unless something else is taken.
      return { ...common, kind: 'proportion', of: toUnitNumber(body.of, 'max'), atLeast: body.at_least ?? 1 };
    case 'ratio':
      return {
        ...common,
        kind: 'ratio',
        numerator: toUnitNumber(body.numerator, 'sum'),
        denominator: toUnitNumber(body.denominator, 'sum'),
      };
    case 'quantile':
      return { ...common, kind: 'quantile', metric: nameIn(body.of), level: body.level ?? 0.5 };
    case 'conversion':
      return {
        ...common,
        kind: 'conversion',
        eventType: body.event_type ?? null,
        metric: body.of === undefined ? null : nameIn(body.of),
        atLeast: body.at_least ?? 1,
        fromMs: toMs(body.from ?? '0m'),
        withinMs: toMs(body.within ?? '0m'),
      };
  }
}

function nameIn(value: MetricBody['of']): string {
  return typeof value === 'object' ? value.metric : (value ?? '');
}

function toUnitNumber(value: MetricBody['of'], take: UnitNumber['take']): UnitNumber {
  return typeof value === 'object' ? { metric: value.metric, take: value.take } : { metric: value ?? '', take };
}

function toCap(cap: MetricBody['cap']): Cap | null {
  if (cap === undefined) return null;
  return cap.at === undefined
    ? { quantile: cap.quantile ?? 1, ignoreZeros: cap.ignore_zeros ?? false }
    : { at: cap.at };
}
