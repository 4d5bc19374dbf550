// Reads PromQL with Prometheus' own grammar: which metrics with which labels an expression asks for, and whether it is well formed.
import { parser } from '@prometheus-io/lezer-promql';

/** A metric as an expression names it, with every label that it selects or groups by. */
export type MetricUse = { readonly metric: string; readonly labels: readonly string[] };

/** Values that Grafana puts in before it asks. */
const grafanaVariables: Readonly<Record<string, string>> = { $__rate_interval: '5m', $__range: '1h' };

/**
 * Uses in the order of the text. Labels of a grouping count for every metric of the expression inside it; `le` belongs to histograms.
 * @throws Error with the place when the expression is not PromQL.
 */
export function readPromql(expression: string): MetricUse[] {
  const text = Object.entries(grafanaVariables).reduce((all, [name, value]) => all.replaceAll(name, value), expression);
  const groupings: { from: number; to: number; labels: string[] }[] = [];
  const uses: { from: number; metric: string; labels: string[] }[] = [];
  const textOf = (node: { from: number; to: number }): string => text.slice(node.from, node.to);
  parser.parse(text).iterate({
    enter: (cursor) => {
      const node = cursor.node;
      if (node.type.isError) throw new Error(`not PromQL at character ${node.from}: ${text}`);
      if (node.name === 'VectorSelector') {
        const name = node.getChild('Identifier');
        if (name === null) throw new Error(`a selector without a metric name at character ${node.from}: ${text}`);
        uses.push({ from: node.from, metric: textOf(name), labels: [] });
      }
      if (node.name === 'UnquotedLabelMatcher') uses.at(-1)!.labels.push(textOf(node.getChild('LabelName')!));
      if (node.name === 'GroupingLabels' && node.parent?.parent?.name === 'AggregateExpr') {
        const { from, to } = node.parent.parent;
        groupings.push({ from, to, labels: node.getChildren('LabelName').map(textOf) });
      }
    },
  });
  return uses.map(({ from, metric, labels }) => {
    const around = groupings.filter((grouping) => grouping.from <= from && from < grouping.to);
    return { metric, labels: [...new Set([...labels, ...around.flatMap((grouping) => grouping.labels)])] };
  });
}
