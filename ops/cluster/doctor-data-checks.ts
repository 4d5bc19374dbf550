// Doctor's checks of what flows: groups and their lag, the outbox, the archive, dead letters.

import { verifyManifest } from '../archive/verify-manifest.ts';
import { formatSeconds } from '../command-line/output.ts';
import { readDeadLetters } from '../dead-letters/read-dead-letters.ts';
import type { DoctorCheck, Finding } from './doctor.ts';
import { formatPartitions, readGroups } from './groups.ts';
import { type GroupLag, readLag } from './lag.ts';

/** The lag objective of the strictest group; guardrails rest beyond it. */
const lagObjectiveSeconds = 30;
/** The archiver writes large objects on purpose, at the latest after an hour. */
const archiverObjectiveSeconds = 3_900;
const outboxObjectiveSeconds = 30;
const claimObjectiveSeconds = 900;
const deadLetterWindowMs = 86_400_000;

const lagObjectiveOf = (group: string): number =>
  group === 'parquet-archiver' ? archiverObjectiveSeconds : lagObjectiveSeconds;

function judgeLag(lag: GroupLag, memberCount: number): Omit<Finding, 'check'> {
  const behind =
    lag.lag === 0n
      ? `${lag.groupId}: at the end of its topic`
      : `${lag.groupId}: ${lag.lag} records behind, the oldest ${formatSeconds(lag.lagSeconds)} old`;
  const lost = lag.partitions.find(({ position, logStart }) => position !== null && position < logStart);
  if (lost !== undefined) {
    return {
      state: 'problem',
      detail: `${lag.groupId} is at offset ${lost.position} of partition ${lost.partition}, but Kafka keeps only from ${lost.logStart}`,
      advice:
        'docs/runbooks/offset-below-log-start.md: "ops rebuild postgres --from-archive" reads the missing records from the archive',
    };
  }
  const beyond = lag.partitions.find(({ position, highWatermark }) => position !== null && position > highWatermark);
  if (beyond !== undefined) {
    return {
      state: 'problem',
      detail: `${lag.groupId} is at offset ${beyond.position} of partition ${beyond.partition}, beyond its end ${beyond.highWatermark}`,
      advice: 'Kafka has lost records, or the topic was made anew: docs/runbooks/topic-made-anew.md',
    };
  }
  if (lag.lagSeconds <= lagObjectiveOf(lag.group)) return { state: 'ok', detail: behind };
  return {
    state: memberCount === 0 ? 'problem' : 'warning',
    detail: behind,
    advice:
      memberCount === 0
        ? `start members of ${lag.group}`
        : `look at its log and at "ops lag --partitions"; if it keeps up but slowly, add members (docs/runbooks/consumer-lag.md)`,
  };
}

export const checkGroups: DoctorCheck = {
  name: 'consumer groups',
  adviceWhenUnreachable: 'this needs Kafka and Postgres: see their lines',
  run: async (cluster) => {
    const [groups, { groups: lags }] = await Promise.all([readGroups(cluster), readLag(cluster)]);
    return lags.flatMap((lag) => {
      const report = groups.find(({ groupId }) => groupId === lag.groupId)!;
      if (report.paused !== null) {
        const { at, by, because } = report.paused;
        return [
          {
            state: 'warning',
            detail: `${lag.groupId} is paused since ${at.toISOString()} by ${by}: ${because}; ${lag.lag} records wait`,
            advice: `when the reason is gone: "ops resume ${lag.group}"`,
          },
        ];
      }
      const findings: Omit<Finding, 'check'>[] = [judgeLag(lag, report.members.length)];
      if (report.members.length === 0) {
        findings.push({
          state: 'problem',
          detail: `${lag.groupId} has no member`,
          advice: `start members of ${lag.group} ("npm start -- --keep" for the local system)`,
        });
      } else if (report.state === 'Stable' && report.unowned.length > 0) {
        findings.push({
          state: 'problem',
          detail: `${lag.groupId}: nobody owns partitions ${formatPartitions(report.unowned)}`,
          advice: 'restart its members; if it comes back, their versions disagree on the assignment protocol',
        });
      } else if (report.state !== 'Stable') {
        findings.push({
          state: 'warning',
          detail: `${lag.groupId} is ${report.state}`,
          advice: 'a rebalance takes seconds: run doctor again; if it stays, look for members that restart',
        });
      }
      return findings;
    });
  },
};

export const checkOutbox: DoctorCheck = {
  name: 'outbox',
  adviceWhenUnreachable: 'this needs Postgres: see its line',
  run: async ({ pool }) => {
    const found = await pool.query<{ depth: bigint; oldest: number }>(
      `SELECT count(*) AS depth, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest
       FROM (SELECT created_at FROM exp.assignment_outbox WHERE published_at IS NULL
             UNION ALL SELECT created_at FROM exp.definition_outbox WHERE published_at IS NULL) o`,
    );
    const { depth, oldest } = found.rows[0]!;
    const detail = `${depth} rows not published, oldest ${formatSeconds(oldest)}`;
    if (oldest <= outboxObjectiveSeconds) return [{ state: 'ok', detail }];
    return [
      {
        state: 'problem',
        detail,
        advice: 'an assignment-service must run to publish them; look for "outbox relay" in its log',
      },
    ];
  },
};

export const checkArchive: DoctorCheck = {
  name: 'archive',
  adviceWhenUnreachable: 'this needs Postgres: see its line',
  run: async (cluster) => {
    const { problems, segments, openClaims } = await verifyManifest(cluster);
    const stuck = openClaims.filter(({ ageSeconds }) => ageSeconds > claimObjectiveSeconds);
    return [
      ...problems.map(({ text }) => ({
        state: 'problem' as const,
        detail: text,
        advice: 'run "npm run -s ops -- archive verify" and see docs/runbooks/archive.md',
      })),
      ...stuck.map(({ partition, ageSeconds }) => ({
        state: 'warning' as const,
        detail: `partition ${partition} has a claim that is not committed since ${formatSeconds(ageSeconds)}`,
        advice: 'start members of parquet-archiver: the next owner of the partition finishes it',
      })),
      ...(problems.length + stuck.length === 0
        ? [{ state: 'ok' as const, detail: `${segments} segments without gap or overlap, as far as the offsets` }]
        : []),
    ];
  },
};

export const checkDeadLetters: DoctorCheck = {
  name: 'dead letters',
  adviceWhenUnreachable: 'this needs Kafka, registry and Postgres: see their lines',
  run: async (cluster) => {
    const { letters } = await readDeadLetters(cluster, { from: new Date(Date.now() - deadLetterWindowMs) });
    const open = letters.filter(({ state }) => state === 'open');
    if (open.length === 0) return [{ state: 'ok', detail: 'none open from the last 24 h' }];
    const reasons = [...new Set(open.map(({ reason }) => reason))].sort().join(', ');
    return [
      {
        state: 'warning',
        detail: `${open.length} open from the last 24 h (${reasons})`,
        advice: 'look at "npm run -s ops -- dead-letters list", then retry or discard them',
      },
    ];
  },
};
