// What `npm start` prints at the end, for people and as one JSON object; pure.
import { formatTable } from '../local/status-report.ts';
import type { Check, Figures } from './checks.ts';
import type { WorkloadResults } from './workloads.ts';

export type RunReport = {
  readonly results: WorkloadResults;
  readonly figures: Figures;
  readonly checks: readonly Check[];
  readonly dataset: { readonly datasetVersion: string; readonly objectKey: string; readonly rowCount: number };
  /** From the first request to the moment when every group had caught up. */
  readonly streamSeconds: number;
  readonly seconds: number;
};

const integer = (value: number): string => value.toLocaleString('en-US');

/** The report as text. */
export function describeRun(report: RunReport): string {
  const { results, figures, checks, dataset } = report;
  const { openBandit, planner } = results;
  const sent = openBandit.events.sent + planner.events.sent;
  const accepted = openBandit.events.accepted + planner.events.accepted;
  const rejected = openBandit.events.rejected + planner.events.rejected;
  const failed = checks.filter(({ ok }) => !ok);
  return [
    `Experiment ${openBandit.experimentKey}: real impressions, figures from exp.metric_aggregates`,
    formatTable([
      ['  variant', 'events', 'clicks', 'click rate'],
      ...figures.variants.map(({ name, events, clicks, mean }) => [
        `  ${name}`,
        integer(events),
        integer(clicks),
        `${(mean * 100).toFixed(3)} %`,
      ]),
    ]),
    '',
    formatTable([
      ['events sent', integer(sent), `accepted ${integer(accepted)}, rejected ${integer(rejected)}`],
      ['rows in Postgres', integer(figures.eventsInPostgres), 'exp.events'],
      [
        'events in the archive',
        integer(figures.eventsInArchive),
        `${integer(figures.archiveObjects)} Parquet objects, read back by DuckDB`,
      ],
      ['assignments', integer(figures.assignments), 'exp.assignments and exp.assignments.v1'],
      [
        'training rows',
        integer(figures.trainingRows),
        `dataset ${dataset.datasetVersion.slice(0, 12)}, ${integer(dataset.rowCount)} rows in ${dataset.objectKey}`,
      ],
      [
        'throughput',
        `${integer(Math.round(sent / report.streamSeconds))} events/s`,
        `${report.streamSeconds.toFixed(1)} s from the first request to lag zero`,
      ],
    ]),
    '',
    ...checks.map(({ name, ok, detail }) => `${ok ? 'ok  ' : 'FAIL'} ${name}${ok ? '' : `: ${detail}`}`),
    '',
    failed.length === 0
      ? `All ${checks.length} checks passed in ${report.seconds.toFixed(0)} s.`
      : `${failed.length} of ${checks.length} checks FAILED.`,
  ].join('\n');
}

/** The report as one JSON object. */
export function toReportJson(report: RunReport): string {
  const { results, figures, checks, dataset } = report;
  return JSON.stringify({
    open_bandit: { experiment: results.openBandit.experimentKey, variants: figures.variants },
    planner: { households_by_variant: results.planner.householdsByVariant, events: results.planner.events },
    events: {
      sent: results.openBandit.events.sent + results.planner.events.sent,
      accepted: results.openBandit.events.accepted + results.planner.events.accepted,
      rejected: results.openBandit.events.rejected + results.planner.events.rejected,
      postgres: figures.eventsInPostgres,
      archive: figures.eventsInArchive,
    },
    assignments: figures.assignments,
    training_rows: figures.trainingRows,
    dataset: { version: dataset.datasetVersion, object_key: dataset.objectKey, rows: dataset.rowCount },
    checks: checks.map(({ name, ok, detail }) => ({ name, ok, ...(ok ? {} : { detail }) })),
    seconds: report.seconds,
  });
}
