// Everything about one dead letter, with its record decoded as far as that goes.
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { loadErasedUnits } from '../rebuild/load-erased-units.ts';
import { type DeadLetter, formatName, formatPosition } from './dead-letter.ts';

export type LetterDetail = {
  readonly name: string;
  readonly state: string;
  readonly stage: string;
  readonly reason: string;
  readonly error: string;
  readonly failedAt: readonly string[];
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly valueBytes: number;
  readonly valueBase64: string | null;
  /** The event as far as its bytes can be read; null when they cannot. */
  readonly event: EventRecord | null;
};

/** Of an erased unit's record only position and reason are shown. @throws FatalError when units were erased and the key is not given. */
export async function describeLetter(
  cluster: Pick<Cluster, 'registry' | 'pool' | 'erasureKey'>,
  letter: DeadLetter,
): Promise<LetterDetail> {
  const erasedUnits = await loadErasedUnits(cluster.pool, cluster.erasureKey);
  const { record } = letter;
  const value = record.value === null ? null : Buffer.from(record.value);
  const decoder = createAvroDecoder<EventRecord>({
    registry: cluster.registry,
    readerSchema: loadRecordSchema(topics.events.valueSchema),
    parse: (decoded) => ({ ok: true, value: decoded as EventRecord }),
    maxValueBytes: topics.eventsDeadLetter.maxRecordBytes,
  });
  const source = {
    topic: record.source_topic,
    partition: record.source_partition,
    offset: BigInt(record.source_offset),
    key: null,
    value,
    headers: {},
    timestampMs: record.source_timestamp,
  };
  await decoder.prepare([source]);
  const decoded = decoder.decode(source);
  const isErased = decoded.ok && erasedUnits.pseudonymOf(decoded.value) !== undefined;
  const shown = isErased ? null : value;
  return {
    name: formatName(letter),
    state: letter.state,
    stage: letter.stage,
    reason: letter.reason,
    error: letter.error,
    failedAt: letter.positions.map(
      (position, index) =>
        `${formatPosition(position)}${index === letter.positions.length - 1 ? ` at ${letter.lastFailedAt.toISOString()}` : ''}`,
    ),
    key: isErased ? '(of an erased unit)' : record.key === null ? null : Buffer.from(record.key).toString(),
    headers: Object.fromEntries(
      record.headers.map(({ name, value: header }) => [name, Buffer.from(header).toString()]),
    ),
    valueBytes: value?.length ?? 0,
    valueBase64: shown?.toString('base64') ?? null,
    event: decoded.ok && !isErased ? decoded.value : null,
  };
}

export function formatLetter(detail: LetterDetail): string {
  const { valueBase64, event, headers, failedAt, ...fields } = detail;
  return [
    ...Object.entries(fields).map(([name, value]) => `${name.padEnd(11)} ${value ?? '(none)'}`),
    ...failedAt.map((text) => `failed      ${text}`),
    ...Object.entries(headers).map(([name, value]) => `header      ${name}: ${value}`),
    event === null
      ? `value       ${valueBase64 ?? '(null)'} (base64; not readable as an event)`
      : `event       ${JSON.stringify(event, null, 2)}`,
  ].join('\n');
}
