// Dead letters as an operator sees them: one per failed record, whatever happened to it since; pure.
import type { DeadLetterRecord } from '#schemas/generated/records.ts';

/** Header of a retried record: the source position it had when it first failed. */
export const originHeader = 'dead-letter-origin';

export type SourcePosition = { readonly topic: string; readonly partition: number; readonly offset: bigint };

export type DeadLetterState = 'open' | 'retried' | 'discarded';

/** What an operator did with the dead letter at one position of one group. */
export type DeadLetterAction = SourcePosition & {
  readonly groupId: string;
  readonly action: Exclude<DeadLetterState, 'open'>;
};

/** One record that one group could not use. A retried record that fails again is the same letter with one more attempt. */
export type DeadLetter = {
  readonly groupId: string;
  /** Where the record was when it failed first. */
  readonly origin: SourcePosition;
  /** Every position at which it failed, the origin among them unless its dead letter has expired. */
  readonly positions: readonly SourcePosition[];
  readonly state: DeadLetterState;
  readonly stage: string;
  readonly reason: string;
  readonly error: string;
  readonly eventId: string | null;
  readonly experimentIds: readonly string[];
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
  /** Of the latest failure. */
  readonly record: DeadLetterRecord;
};

export type DeadLetterFilter = {
  readonly groupIds?: readonly string[];
  readonly reasons?: readonly string[];
  readonly experimentId?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly states?: readonly DeadLetterState[];
  /** Names of letters, as `formatName` gives them. */
  readonly names?: readonly string[];
};

export const formatPosition = ({ topic, partition, offset }: SourcePosition): string =>
  `${topic}:${partition}:${offset}`;

/** The name of a letter on the command line: its group and where its record failed first. */
export const formatName = ({ groupId, origin }: Pick<DeadLetter, 'groupId' | 'origin'>): string =>
  `${groupId}:${formatPosition(origin)}`;

/** Null for text that is no position. */
export function parsePosition(text: string): SourcePosition | null {
  const match = /^(.+):(\d+):(\d+)$/.exec(text);
  return match === null ? null : { topic: match[1]!, partition: Number(match[2]), offset: BigInt(match[3]!) };
}

const sourceOf = (record: DeadLetterRecord): SourcePosition => ({
  topic: record.source_topic,
  partition: record.source_partition,
  offset: BigInt(record.source_offset),
});

function originOf(record: DeadLetterRecord): SourcePosition {
  const header = record.headers.find(({ name }) => name === originHeader);
  return (header && parsePosition(Buffer.from(header.value).toString())) ?? sourceOf(record);
}

/**
 * One letter per group and origin, in order of first failure. The same failure published twice, after a crash, is one; the state
 * is that of the latest position.
 */
export function foldDeadLetters(
  records: readonly DeadLetterRecord[],
  actions: readonly DeadLetterAction[],
): DeadLetter[] {
  const done = new Map(actions.map((action) => [`${action.groupId}:${formatPosition(action)}`, action.action]));
  const groups = new Map<string, DeadLetterRecord[]>();
  for (const record of records) {
    const key = `${record.group_id}:${formatPosition(originOf(record))}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [record]);
    else known.push(record);
  }
  return [...groups.values()]
    .map((failures): DeadLetter => {
      // A retried record was appended after the one that it repeats, but perhaps to a partition with smaller offsets.
      const ordered = failures.toSorted(
        (a, b) => a.source_timestamp - b.source_timestamp || a.source_offset - b.source_offset,
      );
      const last = ordered.at(-1)!;
      const positions = [
        ...new Map(ordered.map((record) => [formatPosition(sourceOf(record)), sourceOf(record)])).values(),
      ];
      const times = failures.map(({ failed_at }) => failed_at);
      return {
        groupId: last.group_id,
        origin: originOf(last),
        positions,
        state: done.get(`${last.group_id}:${formatPosition(sourceOf(last))}`) ?? 'open',
        stage: last.stage,
        reason: last.reason,
        error: last.error,
        eventId: last.event_id,
        experimentIds: last.experiment_ids,
        firstFailedAt: new Date(Math.min(...times)),
        lastFailedAt: new Date(Math.max(...times)),
        record: last,
      };
    })
    .sort((a, b) => a.firstFailedAt.getTime() - b.firstFailedAt.getTime() || (formatName(a) < formatName(b) ? -1 : 1));
}

/** True when the letter is meant. Times are those of its last failure: from inclusive, to exclusive. */
export function matchesFilter(letter: DeadLetter, filter: DeadLetterFilter): boolean {
  const { groupIds, reasons, experimentId, from, to, states, names } = filter;
  return (
    (groupIds === undefined || groupIds.includes(letter.groupId)) &&
    (reasons === undefined || reasons.includes(letter.reason)) &&
    (experimentId === undefined || letter.experimentIds.includes(experimentId)) &&
    (from === undefined || letter.lastFailedAt >= from) &&
    (to === undefined || letter.lastFailedAt < to) &&
    (states === undefined || states.includes(letter.state)) &&
    (names === undefined || names.includes(formatName(letter)))
  );
}
