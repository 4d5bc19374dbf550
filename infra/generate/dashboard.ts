// The Grafana dashboard as JSON: one row per part of the system, and one per consumer group of the topic catalogue.
import { topics } from '#schemas/topics.ts';
import type { GeneratedFile } from './generated-file.ts';

type Query = { readonly expr: string; readonly legend: string };
type Panel = {
  readonly title: string;
  readonly unit: 'short' | 's' | 'bytes' | 'percentunit' | 'reqps';
  readonly queries: readonly Query[];
};
type Row = { readonly title: string; readonly panels: readonly Panel[] };

const panelWidth = 8;
const panelHeight = 8;
const gridWidth = 24;

const quantile = (share: number, metric: string, selector = ''): string =>
  `histogram_quantile(${share}, sum by (le) (rate(${metric}_bucket${selector}[$__rate_interval])))`;

const ingestion: Row = {
  title: 'ingestion-service',
  panels: [
    {
      title: 'Answers by status',
      unit: 'reqps',
      queries: [{ expr: 'sum by (status) (rate(ingest_answers_total[$__rate_interval]))', legend: '{{status}}' }],
    },
    {
      title: 'Events by outcome and code',
      unit: 'reqps',
      queries: [
        {
          expr: 'sum by (outcome, code) (rate(ingest_events_total[$__rate_interval]))',
          legend: '{{outcome}} {{code}}',
        },
      ],
    },
    {
      title: 'Time of a request',
      unit: 's',
      queries: [
        { expr: quantile(0.5, 'ingest_request_duration_seconds'), legend: 'half' },
        { expr: quantile(0.99, 'ingest_request_duration_seconds'), legend: '99 of 100' },
      ],
    },
    {
      title: 'Held bytes',
      unit: 'bytes',
      queries: [
        { expr: 'sum(ingest_in_flight_bytes)', legend: 'request bodies' },
        { expr: 'sum(ingest_queued_bytes)', legend: 'waiting for Kafka' },
      ],
    },
    {
      title: 'Acknowledgement by Kafka',
      unit: 's',
      queries: [
        {
          expr: quantile(0.99, 'event_producer_request_duration_seconds', '{outcome="acknowledged"}'),
          legend: '99 of 100',
        },
      ],
    },
    {
      title: 'Records by outcome of their produce request',
      unit: 'reqps',
      queries: [
        { expr: 'sum by (outcome) (rate(event_producer_records_total[$__rate_interval]))', legend: '{{outcome}}' },
      ],
    },
  ],
};

const assignment: Row = {
  title: 'assignment-service and the outbox',
  panels: [
    {
      title: 'Requests by route and status',
      unit: 'reqps',
      queries: [
        {
          expr: 'sum by (route, status) (rate(http_request_duration_seconds_count[$__rate_interval]))',
          legend: '{{route}} {{status}}',
        },
      ],
    },
    {
      title: 'Time of a request',
      unit: 's',
      queries: [{ expr: quantile(0.99, 'http_request_duration_seconds'), legend: '99 of 100' }],
    },
    {
      title: 'Decisions by reason',
      unit: 'reqps',
      queries: [{ expr: 'sum by (reason) (rate(assignment_decisions_total[$__rate_interval]))', legend: '{{reason}}' }],
    },
    {
      title: 'Outbox rows that Kafka does not have yet',
      unit: 'short',
      queries: [{ expr: 'max by (relay) (outbox_unpublished_rows)', legend: '{{relay}}' }],
    },
    {
      title: 'Age of the oldest outbox row',
      unit: 's',
      queries: [{ expr: 'max by (relay) (outbox_oldest_age_seconds)', legend: '{{relay}}' }],
    },
    {
      title: 'Definitions follow Postgres',
      unit: 'short',
      queries: [{ expr: 'min by (service) (definitions_fresh)', legend: '{{service}}' }],
    },
  ],
};

const guardrails: Row = {
  title: 'guardrail-monitor',
  panels: [
    {
      title: 'Looks by outcome',
      unit: 'reqps',
      queries: [{ expr: 'sum by (outcome) (rate(guardrail_looks_total[$__rate_interval]))', legend: '{{outcome}}' }],
    },
    {
      title: 'Leads, and rests',
      unit: 'short',
      queries: [
        { expr: 'sum(guardrail_leading)', legend: 'processes that lead' },
        { expr: 'max(guardrail_idle)', legend: 'rests' },
      ],
    },
    {
      title: 'Time of a look',
      unit: 's',
      queries: [{ expr: quantile(0.99, 'guardrail_look_duration_seconds'), legend: '99 of 100' }],
    },
  ],
};

const jobs: Row = {
  title: 'job-worker',
  panels: [
    {
      title: 'Jobs by kind and state',
      unit: 'short',
      queries: [{ expr: 'max by (kind, state) (job_queue_jobs)', legend: '{{kind}} {{state}}' }],
    },
    {
      title: 'Attempts by outcome',
      unit: 'short',
      queries: [{ expr: 'sum by (kind, outcome) (increase(job_attempts_total[1h]))', legend: '{{kind}} {{outcome}}' }],
    },
    {
      title: 'Programs that run',
      unit: 'short',
      queries: [{ expr: 'sum by (kind) (job_running_programs)', legend: '{{kind}}' }],
    },
  ],
};

const planner: Row = {
  title: 'planner-service',
  panels: [
    {
      title: 'Answers by status',
      unit: 'reqps',
      queries: [{ expr: 'sum by (status) (rate(planner_answers_total[$__rate_interval]))', legend: '{{status}}' }],
    },
    {
      title: 'Plans by what made them',
      unit: 'reqps',
      queries: [
        {
          expr: 'sum by (planner, policy_version) (rate(planner_plans_total[$__rate_interval]))',
          legend: '{{planner}} for {{policy_version}}',
        },
      ],
    },
    {
      title: 'Time of a plan, 99 of 100',
      unit: 's',
      queries: [
        {
          expr: 'histogram_quantile(0.99, sum by (le, planner) (rate(planner_plan_seconds_bucket[$__rate_interval])))',
          legend: '{{planner}}',
        },
      ],
    },
    {
      title: 'Plans not made as they were meant to be',
      unit: 'reqps',
      queries: [
        { expr: 'sum by (reason) (rate(planner_fallbacks_total[$__rate_interval]))', legend: '{{reason}}' },
        { expr: 'sum(rate(planner_assignment_failures_total[$__rate_interval]))', legend: 'no assignment' },
        { expr: 'sum(rate(planner_interventions_total[$__rate_interval]))', legend: 'slots replaced' },
        {
          expr: 'sum by (reason) (rate(planner_refused_plans_total[$__rate_interval]))',
          legend: 'refused: {{reason}}',
        },
      ],
    },
    {
      title: 'Cost in the last hour, USD',
      unit: 'short',
      queries: [{ expr: 'sum(increase(planner_cost_usd_total[1h]))', legend: 'tokens' }],
    },
    {
      title: 'Events that wait, plans under way',
      unit: 'short',
      queries: [
        { expr: 'sum(planner_waiting_events)', legend: 'events' },
        { expr: 'sum(planner_waiting_event_bytes) / 1e6', legend: 'MB of events' },
        { expr: 'sum(planner_in_flight_plans)', legend: 'plans' },
        { expr: 'min(planner_policies_fresh)', legend: 'policy versions follow Postgres' },
      ],
    },
    {
      title: 'Events by what became of them',
      unit: 'reqps',
      queries: [{ expr: 'sum by (outcome) (rate(planner_events_total[$__rate_interval]))', legend: '{{outcome}}' }],
    },
    {
      title: 'Shadow plans by outcome',
      unit: 'reqps',
      queries: [
        { expr: 'sum by (outcome) (rate(planner_shadow_plans_total[$__rate_interval]))', legend: '{{outcome}}' },
      ],
    },
    {
      title: 'Shadow: agreement with what was served',
      unit: 'percentunit',
      queries: [
        {
          expr: 'sum(rate(planner_shadow_agreement_ratio_sum[$__rate_interval])) / sum(rate(planner_shadow_agreement_ratio_count[$__rate_interval]))',
          legend: 'share of the slots',
        },
      ],
    },
    {
      title: 'Shadow: time of a plan, 99 of 100',
      unit: 's',
      queries: [{ expr: quantile(0.99, 'planner_shadow_plan_seconds'), legend: 'shadow' }],
    },
  ],
};

const processes: Row = {
  title: 'Processes',
  panels: [
    {
      title: 'Processor cores',
      unit: 'short',
      queries: [
        { expr: 'sum by (service) (rate(process_cpu_seconds_total[$__rate_interval]))', legend: '{{service}}' },
      ],
    },
    {
      title: 'Memory',
      unit: 'bytes',
      queries: [{ expr: 'max by (service) (process_resident_memory_bytes)', legend: '{{service}}' }],
    },
    {
      title: 'Event loop, 99 of 100 turns',
      unit: 's',
      queries: [{ expr: 'max by (service) (nodejs_eventloop_lag_p99_seconds)', legend: '{{service}}' }],
    },
  ],
};

function groupRow(group: string): Row {
  const of = `{service="${group}"}`;
  return {
    title: group,
    panels: [
      {
        title: 'Lag',
        unit: 'short',
        queries: [{ expr: `sum(consumer_lag_records${of})`, legend: 'records' }],
      },
      {
        title: 'Age of the oldest record that is not committed',
        unit: 's',
        queries: [{ expr: `max(consumer_lag_seconds${of})`, legend: 'seconds' }],
      },
      {
        title: 'Records by outcome',
        unit: 'reqps',
        queries: [
          { expr: `sum by (outcome) (rate(consumer_records_total${of}[$__rate_interval]))`, legend: '{{outcome}}' },
        ],
      },
      {
        title: 'Time of a flush',
        unit: 's',
        queries: [
          { expr: quantile(0.5, 'consumer_flush_duration_seconds', of), legend: 'half' },
          { expr: quantile(0.99, 'consumer_flush_duration_seconds', of), legend: '99 of 100' },
        ],
      },
      {
        title: 'Dead letters by reason, retries, lost ownership',
        unit: 'short',
        queries: [
          { expr: `sum by (reason) (increase(consumer_dead_letters_total${of}[5m]))`, legend: '{{reason}}' },
          { expr: `sum(increase(consumer_flush_retries_total${of}[5m]))`, legend: 'retries' },
          { expr: `sum(increase(consumer_ownership_lost_total${of}[5m]))`, legend: 'lost ownership' },
        ],
      },
      {
        title: 'Partitions',
        unit: 'short',
        queries: [
          { expr: `sum(consumer_partitions${of})`, legend: 'owned' },
          { expr: `sum(consumer_held_partitions${of})`, legend: 'held' },
          { expr: `sum(increase(consumer_rebalances_total${of}[5m]))`, legend: 'rebalances' },
        ],
      },
    ],
  };
}

/** One query for each metric that has a row of its own would be too many: these are in no panel, and say why. */
export const unplottedMetrics: Readonly<Record<string, string>> = {
  assignment_batch_items: 'for tuning',
  assignment_cache_entries: 'for tuning',
  assignments_stored_total: 'a part of the decisions',
  consumer_consumed_records_total: 'compared by an alert',
  consumer_misplaced_records_total: 'watched by an alert',
  consumer_topic_partitions: 'compared by an alert',
  definition_streams: 'for tuning',
  http_requests_rate_limited_total: 'the answers with 429',
  identity_links_total: 'for analysis',
  ingest_in_flight_requests: 'the bytes are the bound',
  ingest_queued_records: 'the bytes are the bound',
  ingest_requests_rate_limited_total: 'the answers with 429',
  job_attempt_duration_seconds: 'told by each job',
  outbox_failures_total: 'the age shows it',
  outbox_leading: 'watched by an alert',
  outbox_records_published_total: 'the depth shows it',
};

/** Rows from top to bottom, panels from left to right. */
export function listRows(): Row[] {
  return [ingestion, ...topics.events.groups.map(groupRow), assignment, guardrails, jobs, planner, processes];
}

export function generateDashboard(): GeneratedFile {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the text that Grafana fills in.
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  const panels: object[] = [];
  let y = 0;
  for (const row of listRows()) {
    panels.push({
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y, w: gridWidth, h: 1 },
      id: panels.length + 1,
      panels: [],
    });
    y += 1;
    for (const [index, { title, unit, queries }] of row.panels.entries()) {
      const x = (index * panelWidth) % gridWidth;
      panels.push({
        id: panels.length + 1,
        type: 'timeseries',
        title,
        datasource,
        gridPos: {
          x,
          y: y + Math.floor((index * panelWidth) / gridWidth) * panelHeight,
          w: panelWidth,
          h: panelHeight,
        },
        fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
        options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
        targets: queries.map(({ expr, legend }, query) => ({
          refId: String.fromCharCode(65 + query),
          datasource,
          expr,
          legendFormat: legend,
        })),
      });
    }
    y += Math.ceil((row.panels.length * panelWidth) / gridWidth) * panelHeight;
  }
  const dashboard = {
    uid: 'trialstream',
    title: 'Trialstream',
    tags: ['trialstream'],
    timezone: 'utc',
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' }] },
    panels,
  };
  return { path: 'infra/observability/dashboard.json', text: `${JSON.stringify(dashboard, null, 2)}\n` };
}
