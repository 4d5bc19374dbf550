// What the gate predicted of promoted models beside what they did for real units.
import type { Connection } from '../definition-store/definition-rows.ts';

export type CalibrationRow = {
  experiment_key: string;
  iteration: number;
  policy_version: string;
  model: string;
  verdict: string | null;
  ended_by: string;
  ended_at: Date;
  offline_score: string;
  offline_difference: number | null;
  offline_lower: number | null;
  offline_upper: number | null;
  online_metric: string;
  online_control: number | null;
  online_candidate: number | null;
  online_difference: number | null;
  same_direction: boolean | null;
};

/** Ended promotions, the latest first, one row per pair of score and metric. */
export async function listCalibration(connection: Connection): Promise<CalibrationRow[]> {
  const { rows } = await connection.query<CalibrationRow>(
    `SELECT experiment_key, iteration, policy_version, model_name || '/' || model_version AS model, verdict, ended_by, ended_at,
       offline_score, offline_difference, offline_lower, offline_upper, online_metric, online_control, online_candidate,
       online_difference, same_direction
     FROM exp.v_promotion_calibration ORDER BY ended_at DESC, offline_score DESC, online_metric`,
  );
  return rows;
}
