// Records that some or all groups cannot use, each under a key that names its kind, so that a check knows what must become of it.
import { randomBytes, randomUUID } from 'node:crypto';
import { eventDateOf } from '#domain/event/parse-event.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { sampleEvent } from '#tests/support/events.ts';

type Encode = (event: EventRecord) => Buffer;

type PoisonKind = {
  readonly reason: string;
  /** Groups that cannot use it; all of them when absent. */
  readonly groups?: readonly string[];
  readonly make: (encode: Encode, event: EventRecord) => Buffer | null;
};

const allGroups: readonly string[] = topics.events.groups;

export const poisonKinds = {
  'random bytes': {
    reason: 'undecodable',
    make: () => Buffer.concat([Buffer.from([0xff]), randomBytes(100)]),
  },
  'no value': { reason: 'undecodable', make: () => null },
  'unknown schema': {
    reason: 'unknown-schema',
    make: (encode, event) => {
      const value = encode(event);
      value.writeInt32BE(2_000_000_001, 1);
      return value;
    },
  },
  'cut short': {
    reason: 'undecodable',
    make: (encode, event) => encode(event).subarray(0, 60),
  },
  'before all time': {
    reason: 'rule-violated',
    make: (encode, event) => encode({ ...event, event_time: Date.UTC(1999, 0, 1) }),
  },
  // Valid JSON, and a number that no column of Postgres can hold.
  'too large for Postgres': {
    reason: 'poison',
    groups: ['postgres-sink'],
    make: (encode, event) => encode({ ...event, payload: '1e999999' }),
  },
  'not a plan': {
    reason: 'rule-violated',
    groups: ['dataset-builder'],
    make: (encode, event) => encode({ ...event, event_type: 'plan_generated', payload: '{}' }),
  },
} as const satisfies Record<string, PoisonKind>;

const kinds: Readonly<Record<string, PoisonKind>> = poisonKinds;
export const poisonNames = Object.keys(kinds);
const keyPrefix = 'poison:';

export type Poison = {
  readonly key: string;
  readonly value: Buffer | null;
  readonly eventId: string;
  readonly identity: string;
};

/** An event without experiments and metrics: where a group can use it, it changes no aggregate that another group would recount. */
export function makePoison(name: string, encode: Encode): Poison {
  const event = sampleEvent({ event_id: randomUUID(), experiments: [], metrics: {}, unit_id: `poison-${name}` });
  return {
    key: `${keyPrefix}${name}`,
    value: kinds[name]!.make(encode, event),
    eventId: event.event_id,
    identity: `${event.event_id}/${eventDateOf(event.event_time)}`,
  };
}

/** Reason for which this group must set the record aside, or null when it must use it. */
export function expectedReason(key: Buffer | null, group: string): string | null {
  const text = key?.toString() ?? '';
  if (!text.startsWith(keyPrefix)) return null;
  const kind = kinds[text.slice(keyPrefix.length)];
  if (kind === undefined) throw new Error(`unknown poison ${text}`);
  return (kind.groups ?? allGroups).includes(group) ? kind.reason : null;
}
