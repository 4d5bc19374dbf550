// The upkeep of Postgres: tables of coming days, retention of event days that the archive has, records of letters that are gone.
import { describeError } from '#platform/errors.ts';
import { topics } from '#schemas/topics.ts';
import type { ArchiveCluster } from '../cluster/cluster.ts';

export type UpkeepOptions = {
  readonly daysAhead: number;
  /** Nothing is dropped when undefined. */
  readonly retentionDays: number | undefined;
  readonly actor: string;
  readonly dryRun: boolean;
};

export type UpkeepReport = {
  /** Days whose tables were made (or would be). */
  readonly created: readonly string[];
  readonly dropped: readonly { readonly day: string; readonly events: number }[];
  /** Days beyond the limit that stay, and why. */
  readonly kept: readonly { readonly day: string; readonly reason: string }[];
  /** Actions on dead letters that their topic has expired. */
  readonly removedLetterActions: number;
};

const dayOf = (date: Date): string => date.toISOString().slice(0, 10);
const dayMs = 86_400_000;

async function listEventDays(cluster: ArchiveCluster): Promise<string[]> {
  const found = await cluster.pool.query<{ day: string }>(
    `SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'exp.events'::regclass ORDER BY 1`,
  );
  return found.rows.map(({ day }) => day);
}

async function makeComingDays(
  cluster: ArchiveCluster,
  known: readonly string[],
  options: UpkeepOptions,
): Promise<string[]> {
  const wanted = Array.from({ length: options.daysAhead + 2 }, (_, index) =>
    dayOf(new Date(Date.now() + (index - 1) * dayMs)),
  );
  const missing = wanted.filter((day) => !known.includes(day));
  // Each in a transaction of its own, so that none holds a lock while the next is made.
  if (!options.dryRun)
    for (const day of missing) await cluster.pool.query('SELECT exp.ensure_event_day($1::date)', [day]);
  return missing;
}

/** An object of the archive that the day needs and that is not there; null when all are. */
async function findMissingObject(cluster: ArchiveCluster, day: string): Promise<string | null> {
  const found = await cluster.pool.query<{ object_key: string }>(
    `SELECT object_key FROM exp.archive_manifest
     WHERE topic = $1 AND status = 'committed' AND row_count > 0
       AND event_time_max >= $2::date AND event_time_min < $2::date + 1 ORDER BY object_key`,
    [cluster.topicName('events'), day],
  );
  for (const { object_key } of found.rows) if ((await cluster.objectStore.find(object_key)) === null) return object_key;
  return null;
}

type DayOutcome = { readonly events: number } | { readonly reason: string };

async function retireDay(
  cluster: ArchiveCluster,
  day: string,
  retentionDays: number,
  options: UpkeepOptions,
): Promise<DayOutcome> {
  const found = await cluster.pool.query<{ reason: string | null; events: bigint }>(
    `SELECT exp.reason_to_keep_event_day($1::date, make_interval(days => $2)) AS reason,
       (SELECT count(*) FROM exp.events WHERE event_date = $1::date) AS events`,
    [day, retentionDays],
  );
  const { reason, events } = found.rows[0]!;
  if (reason !== null) return { reason };
  const missing = await findMissingObject(cluster, day);
  if (missing !== null) return { reason: `${missing} is missing in the archive` };
  if (options.dryRun) return { events: Number(events) };
  try {
    const dropped = await cluster.pool.query<{ events: bigint | null }>(
      'SELECT exp.drop_event_day($1::date, make_interval(days => $2), $3) AS events',
      [day, retentionDays, options.actor],
    );
    const count = dropped.rows[0]!.events;
    return count === null ? { reason: 'events of it came meanwhile' } : { events: Number(count) };
  } catch (error) {
    const lockNotAvailable = '55P03';
    if ((error as { code?: string }).code !== lockNotAvailable) throw error;
    return { reason: `busy, the next run tries again (${describeError(error)})` };
  }
}

/** Actions on letters older than their topic keeps them, with a margin for clocks. */
async function removeLetterActions(cluster: ArchiveCluster, dryRun: boolean): Promise<number> {
  const ageDays = topics.eventsDeadLetter.retentionMs / dayMs + 10;
  const old = `FROM exp.dead_letter_actions WHERE at < now() - make_interval(days => $1::int)`;
  if (dryRun) {
    const counted = await cluster.pool.query<{ count: bigint }>(`SELECT count(*) AS count ${old}`, [ageDays]);
    return Number(counted.rows[0]!.count);
  }
  return (await cluster.pool.query(`DELETE ${old}`, [ageDays])).rowCount ?? 0;
}

/** Safe to repeat, and to run beside everything else: a table that is in use is left to the next run. */
export async function runUpkeep(cluster: ArchiveCluster, options: UpkeepOptions): Promise<UpkeepReport> {
  const days = await listEventDays(cluster);
  const created = await makeComingDays(cluster, days, options);
  const dropped: { day: string; events: number }[] = [];
  const kept: { day: string; reason: string }[] = [];
  const { retentionDays } = options;
  if (retentionDays !== undefined) {
    const limit = dayOf(new Date(Date.now() - (retentionDays + 1) * dayMs));
    for (const day of days.filter((candidate) => candidate <= limit)) {
      const outcome = await retireDay(cluster, day, retentionDays, options);
      if ('reason' in outcome) kept.push({ day, reason: outcome.reason });
      else dropped.push({ day, ...outcome });
    }
  }
  return { created, dropped, kept, removedLetterActions: await removeLetterActions(cluster, options.dryRun) };
}
