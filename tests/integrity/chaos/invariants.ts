// What must hold when everything has come to rest: nothing acknowledged is missing, nothing refused is there, nothing counts twice.
import avro from 'avsc';
import { eventDateOf } from '#domain/event/parse-event.ts';
import { readAssignmentTopic } from '#ops/assignments/read-assignment-topic.ts';
import type { DeadLetterRecord, EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace, type topics } from '#schemas/topics.ts';
import {
  compareWithRecount,
  findArchiveGaps,
  readArchive,
  readPositions,
  readStoredEvents,
} from '#tests/support/stored-events.ts';
import type { TestSystem } from '#tests/support/test-system.ts';
import type { Ledger, LedgerEntry } from './ledger.ts';
import { findBackwardMoves } from './offset-history.ts';
import { expectedReason } from './poison.ts';

type GroupName = (typeof topics.events.groups)[number];

/** One record of the events topic: what it is by itself, before any group has seen it. */
type LoggedRecord = {
  readonly position: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Buffer | null;
  /** Undefined for bytes that are no event. */
  readonly event: EventRecord | undefined;
  readonly identity: string;
};

export type Findings = {
  readonly problems: string[];
  /** Records on the topic, and the sum of their outcomes over the groups that were checked. */
  readonly records: number;
  readonly accounted: number;
};

const someOf = (list: readonly string[]): string => `${list.slice(0, 3).join(', ')}${list.length > 3 ? ', ...' : ''}`;
const positionOf = (partition: number, offset: bigint | number): string => `${partition}/${offset}`;

async function readLog(run: TestSystem): Promise<LoggedRecord[]> {
  const type = avro.Type.forSchema(loadRecordSchema('event'));
  const decode = (value: Buffer | null): EventRecord | undefined => {
    try {
      return value?.[0] === 0 ? (type.fromBuffer(value.subarray(5)) as EventRecord) : undefined;
    } catch {
      return undefined;
    }
  };
  return (await run.topics.readAll('events')).map(({ partition, offset, key, value }) => {
    const event = decode(value);
    const identity = event === undefined ? '' : `${event.event_id}/${eventDateOf(event.event_time)}`;
    return { position: positionOf(partition, offset), partition, offset, key, event, identity };
  });
}

/** Dead letters by group: reason by source position, each position once. */
async function readDeadLetters(run: TestSystem): Promise<Map<string, Map<string, string>>> {
  const type = avro.Type.forSchema(loadRecordSchema('deadLetter'));
  const letters = new Map<string, Map<string, string>>();
  for (const { value } of await run.topics.readAll('eventsDeadLetter')) {
    const letter = type.fromBuffer(value!.subarray(5)) as DeadLetterRecord;
    const group = letter.group_id.slice(run.topics.namespace.length + 1);
    const ofGroup = letters.get(group) ?? new Map<string, string>();
    letters.set(group, ofGroup);
    ofGroup.set(positionOf(letter.source_partition, letter.source_offset), letter.reason);
  }
  return letters;
}

/** acknowledged ⊆ log ⊆ acknowledged ∪ unknown, rejected ∩ log = ∅. */
function compareLedger(ledger: Ledger, log: readonly LoggedRecord[]): string[] {
  const logged = new Set(log.map(({ identity }) => identity));
  const loggedIds = new Set(log.map(({ event }) => event?.event_id));
  const entries = ledger.entries();
  const missing = entries.filter((entry) => entry.outcome === 'acknowledged' && !logged.has(entry.identity));
  const refused = entries.filter((entry) => entry.outcome === 'rejected' && loggedIds.has(entry.eventId));
  const known = new Set(entries.map(({ eventId }) => eventId));
  const invented = [...loggedIds].filter((id) => id !== undefined && !known.has(id));
  const say = (list: readonly LedgerEntry[]): string => someOf(list.map(({ identity }) => identity));
  return [
    ...(missing.length > 0 ? [`${missing.length} acknowledged events are not on the topic: ${say(missing)}`] : []),
    ...(refused.length > 0 ? [`${refused.length} refused events are on the topic: ${say(refused)}`] : []),
    ...(invented.length > 0
      ? [`${invented.length} events on the topic were never sent: ${someOf(invented as string[])}`]
      : []),
  ];
}

/** An event that was acknowledged before another one of its unit was sent for the first time stands before it. */
function checkOrder(ledger: Ledger, log: readonly LoggedRecord[]): string[] {
  const first = new Map<string, LoggedRecord>();
  for (const record of log) if (!first.has(record.identity)) first.set(record.identity, record);
  const problems: string[] = [];
  for (const [unit, entries] of Map.groupBy(ledger.entries(), (entry) => entry.unit)) {
    const placed = entries
      .filter(({ acknowledgedAt, isOdd }) => acknowledgedAt !== null && !isOdd)
      .flatMap((entry) => {
        const record = first.get(entry.identity);
        return record === undefined ? [] : [{ entry, record }];
      })
      .sort((a, b) => (a.record.offset < b.record.offset ? -1 : 1));
    if (new Set(placed.map(({ record }) => record.partition)).size > 1)
      problems.push(`${unit} is in several partitions`);
    let earliestLater = Number.POSITIVE_INFINITY;
    for (const { entry } of placed.toReversed()) {
      if (earliestLater < entry.firstSentAt) problems.push(`${entry.identity} of ${unit} was overtaken`);
      earliestLater = Math.min(earliestLater, entry.acknowledgedAt!);
    }
  }
  return problems.length === 0 ? [] : [`order is lost ${problems.length} times: ${someOf(problems)}`];
}

/** Every record must be set aside by exactly the groups that cannot use it, for its reason. */
function compareDeadLetters(
  group: string,
  log: readonly LoggedRecord[],
  letters: ReadonlyMap<string, string>,
): string[] {
  const wrong: string[] = [];
  for (const { position, key } of log) {
    const [expected, found] = [expectedReason(key, group), letters.get(position) ?? null];
    if (expected !== found)
      wrong.push(`${position} ${key?.toString()}: ${found ?? 'no dead letter'}, expected ${expected ?? 'none'}`);
  }
  return wrong.length === 0 ? [] : [`${group}: ${wrong.length} wrong dead letters: ${someOf(wrong)}`];
}

function compareSets(what: string, expected: Iterable<string>, found: readonly string[]): string[] {
  const [wanted, have] = [new Set(expected), new Set(found)];
  const [missing, extra] = [wanted.difference(have), have.difference(wanted)];
  return [
    ...(missing.size > 0 ? [`${what}: ${missing.size} missing: ${someOf([...missing])}`] : []),
    ...(extra.size > 0 ? [`${what}: ${extra.size} that must not be there: ${someOf([...extra])}`] : []),
    ...(have.size < found.length ? [`${what}: ${found.length - have.size} are there twice`] : []),
  ];
}

/** What one group made of the records that it could use. */
async function checkEffects(
  group: GroupName,
  run: TestSystem,
  usable: readonly LoggedRecord[],
  ends: ReadonlyMap<number, bigint>,
) {
  const { pool } = run.database;
  const identities = new Set(usable.map(({ identity }) => identity));
  if (group === 'postgres-sink') {
    const sources = await pool.query<{ position: string; identity: string }>(
      `SELECT source_partition || '/' || source_offset AS position, event_id || '/' || event_date AS identity FROM exp.events`,
    );
    const byPosition = new Map(usable.map(({ position, identity }) => [position, identity]));
    const foreign = sources.rows.filter(({ position, identity }) => byPosition.get(position) !== identity);
    return [
      ...compareSets('exp.events', identities, await readStoredEvents(pool)),
      ...(foreign.length > 0
        ? [`exp.events: ${foreign.length} rows do not come from their record: ${foreign[0]!.position}`]
        : []),
    ];
  }
  if (group === 'parquet-archiver') {
    const archive = await readArchive(pool, run.objectStore);
    return [
      ...compareSets('the archive', identities, archive.events),
      ...(archive.repeatedPositions > 0 ? [`the archive has ${archive.repeatedPositions} positions twice`] : []),
      ...(archive.records === usable.length ? [] : [`the archive has ${archive.records} of ${usable.length} records`]),
      ...(await findArchiveGaps(pool, ends)),
    ];
  }
  if (group === 'metrics-aggregator') {
    const claims = await pool.query<{ identity: string }>(
      `SELECT event_id || '/' || event_date AS identity FROM exp.event_claims WHERE consumer_group = 'metrics-aggregator'`,
    );
    const different = Object.entries(await compareWithRecount(pool)).filter(([, table]) => table.different.length > 0);
    return [
      ...compareSets(
        'claims of the aggregator',
        identities,
        claims.rows.map((row) => row.identity),
      ),
      ...different.map(([table, { different: rows }]) => `${table} differs from a recount: ${JSON.stringify(rows[0])}`),
    ];
  }
  const planIds = usable.flatMap(({ event }) =>
    event?.event_type === 'plan_generated' ? [(JSON.parse(event.payload!) as { plan_id: string }).plan_id] : [],
  );
  const rows = await pool.query<{ plan_id: string }>('SELECT plan_id FROM exp.training_rows WHERE request IS NOT NULL');
  return compareSets(
    'training rows',
    planIds,
    rows.rows.map((row) => row.plan_id),
  );
}

/** The compacted topic, folded, is what Postgres says, and what the service answered. */
async function checkAssignments(run: TestSystem, answers: ReadonlyMap<string, string>): Promise<string[]> {
  const topic = await readAssignmentTopic({ ...run.topics, topic: run.topics.name('assignments') });
  const stored = await run.database.pool.query<{ key: string; unit_id: string; variant_id: string }>(
    `SELECT experiment_id || ':' || unit_id AS key, unit_id, variant_id FROM exp.assignments`,
  );
  const folded = [...topic.assignments].map(([key, { variant_id }]) => `${key} ${variant_id}`);
  const byUnit = new Map(stored.rows.map((row) => [row.unit_id, row.variant_id]));
  const broken = [...answers].filter(([unit, variant]) => byUnit.get(unit) !== variant).map(([unit]) => unit);
  return [
    ...compareSets(
      'assignments on the topic',
      stored.rows.map(({ key, variant_id }) => `${key} ${variant_id}`),
      folded,
    ),
    ...(broken.length > 0 ? [`${broken.length} answers are not the stored assignment: ${someOf(broken)}`] : []),
  ];
}

/** Expects every checked group at the end of the topic and nothing running into it. Resolves with all that is wrong, in words. */
export async function findViolations(
  run: TestSystem,
  ledger: Ledger,
  options: { groups: readonly GroupName[]; answers: ReadonlyMap<string, string> },
): Promise<Findings> {
  const { pool } = run.database;
  const [log, letters] = [await readLog(run), await readDeadLetters(run)];
  const ends = new Map<number, bigint>();
  for (const { partition, offset } of log) ends.set(partition, offset + 1n);
  const problems = [
    ...compareLedger(ledger, log),
    ...checkOrder(ledger, log),
    ...(await findBackwardMoves(pool)),
    ...(await checkAssignments(run, options.answers)),
  ];
  let accounted = 0;
  for (const group of options.groups) {
    const ofGroup = letters.get(group) ?? new Map<string, string>();
    problems.push(...compareDeadLetters(group, log, ofGroup));
    const usable = log.filter(({ key, event }) => event !== undefined && expectedReason(key, group) === null);
    problems.push(...(await checkEffects(group, run, usable, ends)));
    const positions = await readPositions(pool, inNamespace(group, run.topics.namespace));
    for (const [partition, end] of ends) {
      if (positions.get(partition) !== end)
        problems.push(`${group} partition ${partition} is at ${positions.get(partition)}, the topic ends at ${end}`);
    }
    // Each usable record is an effect or a repetition of one; the sets above say which are missing.
    accounted += usable.length + ofGroup.size;
  }
  const expected = log.length * options.groups.length;
  if (accounted !== expected) problems.push(`${accounted} outcomes are accounted for, expected ${expected}`);
  return { problems, records: log.length, accounted };
}
