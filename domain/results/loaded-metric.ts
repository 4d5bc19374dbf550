// Which metrics an experiment is analyzed by and in which roles, and what is read of each.
import type { Experiment } from '#domain/experiment/experiment.ts';
import { type MetricDefinition, undefinedMetric } from '#domain/metrics/metric-definition.ts';
import type { NotComputable } from '#domain/statistics/result.ts';
import type { Statistic } from '#domain/statistics/statistic.ts';
import type { MetricRole } from './results.ts';
import type { Cell } from './unit-statistics.ts';

export type PlannedGuardrail = { readonly harmful: 'increase' | 'decrease'; readonly bound: number };

export type PlannedMetric = {
  readonly definition: MetricDefinition;
  readonly roles: readonly MetricRole[];
  readonly guardrail: PlannedGuardrail | null;
};

export type StatisticCell = Cell & { readonly statistic: Statistic };

export type LoadedMetric = PlannedMetric & {
  /** Why nothing could be read; null when it was. */
  readonly failure: NotComputable | null;
  /** By variant and period. */
  readonly cells: readonly StatisticCell[];
  /** The same by UTC day of first exposure, where a history was asked for. */
  readonly byDay: readonly StatisticCell[];
  readonly bySegment: readonly { readonly attribute: string; readonly cells: readonly StatisticCell[] }[];
  readonly notes: readonly string[];
};

/** The metrics that a definition names, each once: primary, secondary, guardrails. Names nobody has defined are averages. */
export function planMetrics(
  { metrics }: Pick<Experiment, 'metrics'>,
  definitions: ReadonlyMap<string, MetricDefinition>,
): PlannedMetric[] {
  const { primary, secondary = [], guardrails = [] } = metrics;
  const names = [
    ...new Set([...(primary === undefined ? [] : [primary]), ...secondary, ...guardrails.map(({ metric }) => metric)]),
  ];
  return names.map((name) => {
    const definition = definitions.get(name) ?? undefinedMetric(name);
    const guardrail = guardrails.find(({ metric }) => metric === name);
    const roles: MetricRole[] = [
      ...(name === primary ? (['primary'] as const) : []),
      ...(secondary.includes(name) && name !== primary ? (['secondary'] as const) : []),
      ...(guardrail === undefined ? [] : (['guardrail'] as const)),
    ];
    return {
      definition,
      roles,
      guardrail:
        guardrail === undefined
          ? null
          : {
              harmful: guardrail.direction ?? (definition.better === 'increase' ? 'decrease' : 'increase'),
              bound: Math.abs(guardrail.bound ?? definition.guardrailBound),
            },
    };
  });
}
