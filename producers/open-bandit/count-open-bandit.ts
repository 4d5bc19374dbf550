// Counts an Open Bandit file directly with DuckDB, sharing nothing with the parser, for comparison with what came out of the stream.

import { DuckDBInstance } from '@duckdb/node-api';
import { isGzipped } from './open-bandit-file.ts';

export type PolicyCount = {
  readonly policy: string;
  readonly events: number;
  readonly clicks: number;
  /** clicks ÷ events. */
  readonly mean: number;
};
export type HourCount = {
  readonly policy: string;
  /** Start of the UTC hour, as in 2019-11-24T00:00:00.000Z. */
  readonly hourStart: string;
  readonly events: number;
  readonly clicks: number;
};
export type OpenBanditCount = { readonly byPolicy: readonly PolicyCount[]; readonly byHour: readonly HourCount[] };

/** Events and clicks of the file, per policy and per policy and UTC hour of event time, in order of policy and hour. */
export async function countOpenBandit(path: string): Promise<OpenBanditCount> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const compression = (await isGzipped(path)) ? 'gzip' : 'none';
    const file = path.replaceAll("'", "''");
    await connection.run("SET TimeZone = 'UTC'");
    const reader = await connection.runAndReadAll(
      `SELECT policy, floor(epoch_ms(timestamp::TIMESTAMPTZ) / 3600000) * 3600000 AS hour_start,
              count(*)::DOUBLE AS events, sum(click::INTEGER)::DOUBLE AS clicks
         FROM read_csv('${file}', header = true, all_varchar = true, compression = '${compression}')
        GROUP BY ALL ORDER BY policy, hour_start`,
    );
    const byHour = reader.getRowObjectsJS().map(
      (row): HourCount => ({
        policy: String(row.policy),
        hourStart: new Date(Number(row.hour_start)).toISOString(),
        events: Number(row.events),
        clicks: Number(row.clicks),
      }),
    );
    return { byPolicy: sumByPolicy(byHour), byHour };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

function sumByPolicy(byHour: readonly HourCount[]): PolicyCount[] {
  return [...Map.groupBy(byHour, (count) => count.policy)].map(([policy, counts]) => {
    const events = counts.reduce((sum, count) => sum + count.events, 0);
    const clicks = counts.reduce((sum, count) => sum + count.clicks, 0);
    return { policy, events, clicks, mean: clicks / events };
  });
}
