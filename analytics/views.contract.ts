// The views that dashboards read, compared with what the stored events and recorded results say themselves.
import { describe, expect, test } from 'vitest';
import type { Pool } from '#platform/postgres/pool.ts';

type LatencyRow = { plans: bigint; mean: number; p50: number; p99: number; cost: number };

/** Registers the tests; the data of both workloads is there when they run. */
export function testViews(analyst: () => Pool): void {
  describe('exp.v_latency_cost', () => {
    test.each(['hour', 'day'] as const)('equals a recount of the events of each %s', async (granularity) => {
      // The sketch answers within 1 % of a value that is there: of n in order, the one at floor(q * (n - 1)) from zero.
      const { rows } = await analyst().query<{ view: LatencyRow | null; events: LatencyRow }>(
        `WITH counted AS (
           SELECT e.experiment_id, e.variant_id, date_trunc($1, e.event_time, 'UTC') AS bucket_start, count(*) AS plans,
             avg(latency) AS mean, (array_agg(latency ORDER BY latency))[1 + floor(0.5 * (count(*) - 1))::integer] AS p50,
             (array_agg(latency ORDER BY latency))[1 + floor(0.99 * (count(*) - 1))::integer] AS p99, sum((e.metrics ->> 'cost_usd')::float8) AS cost
           FROM exp.event_variants e
           CROSS JOIN LATERAL (SELECT (e.metrics ->> 'latency_ms')::float8 AS latency) l
           WHERE e.metrics ->> 'latency_ms' IS NOT NULL
           GROUP BY 1, 2, 3
         )
         SELECT json_build_object('plans', c.plans, 'mean', c.mean, 'p50', c.p50, 'p99', c.p99, 'cost', c.cost) AS events,
           CASE WHEN v.plans IS NOT NULL THEN json_build_object('plans', v.plans, 'mean', v.latency_ms_mean, 'p50', v.latency_ms_p50,
             'p99', v.latency_ms_p99, 'cost', v.cost_usd_sum) END AS view
         FROM counted c
         FULL JOIN (SELECT * FROM exp.v_latency_cost WHERE granularity = $1) v USING (experiment_id, variant_id, bucket_start)`,
        [granularity],
      );
      expect(rows.length).toBeGreaterThan(10);
      for (const { view, events } of rows) {
        expect(view?.plans).toBe(events.plans);
        expect(view!.mean).toBeCloseTo(events.mean, 6);
        expect(view!.cost).toBeCloseTo(events.cost, 9);
        for (const level of ['p50', 'p99'] as const)
          expect(Math.abs(view![level] / events[level] - 1), `${level} ${view![level]} ${events[level]}`).toBeLessThan(
            0.0101,
          );
      }
    });

    test('names the policy version and the model behind each variant', async () => {
      const { rows } = await analyst().query(
        `SELECT DISTINCT variant_name, policy_name, policy_version, mlflow_model_name, mlflow_model_version
         FROM exp.v_latency_cost ORDER BY variant_name`,
      );
      const common = { policy_name: 'meal-planner', mlflow_model_name: 'planner_model' };
      expect(rows).toEqual([
        { variant_name: 'candidate', ...common, policy_version: 2, mlflow_model_version: '2' },
        { variant_name: 'control', ...common, policy_version: 1, mlflow_model_version: '1' },
      ]);
    });
  });

  describe('exp.v_offline_vs_online', () => {
    test('puts the replay of a model beside each recorded result of the treatment that its policy version is behind', async () => {
      const { rows } = await analyst().query(
        `SELECT o.model_version, o.verdict, o.policy_name, o.policy_version, o.experiment_key, o.variant_name, o.metric_name,
           (o.offline_metrics ->> 'acceptance_rate')::float8 AS promised,
           (o.estimate, o.lower, o.upper, o.control_value, o.treatment_value)
             IS NOT DISTINCT FROM (r.estimate, r.lower, r.upper, r.control_value, r.treatment_value) AS is_the_recorded_one
         FROM exp.v_offline_vs_online o
         LEFT JOIN exp.v_experiment_results r USING (experiment_key, variant_name, metric_name)
         ORDER BY o.model_version, o.metric_name`,
      );
      const online = rows.filter(({ model_version }) => model_version === '2');
      const recorded = await analyst().query(
        `SELECT metric_name FROM exp.v_experiment_results WHERE experiment_key = 'planner-policy' ORDER BY metric_name`,
      );
      expect(recorded.rows.length).toBeGreaterThan(5);
      expect(online.map(({ metric_name }) => metric_name)).toEqual(recorded.rows.map(({ metric_name }) => metric_name));
      for (const row of online)
        expect(row).toMatchObject({
          verdict: 'pass',
          policy_name: 'meal-planner',
          policy_version: 2,
          experiment_key: 'planner-policy',
          variant_name: 'candidate',
          promised: 0.6,
          is_the_recorded_one: true,
        });
    });

    test('keeps the replay of a model that no treatment has shown yet, without numbers of traffic', async () => {
      const { rows } = await analyst().query(
        `SELECT model_version, verdict, policy_version, metric_name, treatment_value, estimate FROM exp.v_offline_vs_online
         WHERE model_version = '1'`,
      );
      expect(rows).toEqual([
        {
          model_version: '1',
          verdict: 'inconclusive',
          policy_version: 1,
          metric_name: null,
          treatment_value: null,
          estimate: null,
        },
      ]);
    });
  });

  describe('exp.describe_effect', () => {
    test.each([
      ["0.2167, -0.618, 1.0514, 'relative'", '+21.7 % (-61.8 % to +105.1 %)'],
      ["-0.05, -0.0632, -0.04, 'absolute'", '-0.0500 (-0.0632 to -0.0400)'],
      ["0.5, '-Infinity', 'Infinity', 'relative'", '+50.0 % (-∞ to +∞)'],
      ["NULL, NULL, NULL, 'relative'", ''],
    ])('says %s as a person reads it', async (values, expected) => {
      const { rows } = await analyst().query(`SELECT exp.describe_effect(${values}) AS effect`);
      expect(rows).toEqual([{ effect: expected }]);
    });
  });
}
