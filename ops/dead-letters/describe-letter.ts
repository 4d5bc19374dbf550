// Everything about one dead letter, with its record decoded as far as that goes.
import type { EventRecord } from '#schemas/generated/records.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type DeadLetter, formatName, formatPosition } from './dead-letter.ts';
import { createLetterOpener } from './open-letters.ts';

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
  const { source, event, isOfErasedUnit } = await (await createLetterOpener(cluster))(letter);
  const { record } = letter;
  const shown = isOfErasedUnit ? null : source.value;
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
    key: isOfErasedUnit ? '(of an erased unit)' : (source.key?.toString() ?? null),
    headers: Object.fromEntries(
      record.headers.map(({ name, value: header }) => [name, Buffer.from(header).toString()]),
    ),
    valueBytes: source.value?.length ?? 0,
    valueBase64: shown === null ? null : Buffer.from(shown).toString('base64'),
    event: isOfErasedUnit ? null : event,
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
