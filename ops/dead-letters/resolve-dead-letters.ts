// Retries dead letters by sending their records again, or discards them; both leave a record of who did it.
import { FatalError } from '#platform/errors.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import { createRecordProducer, type OutgoingRecord } from '#platform/kafka/record-producer.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type DeadLetter, formatName, formatPosition, originHeader } from './dead-letter.ts';
import { createLetterOpener } from './open-letters.ts';

export type Acting = { readonly actor: string; readonly because: string | null };

export type RetryPlan = {
  /** One entry per record: groups that failed on the same record share it. */
  readonly records: readonly { readonly letters: readonly DeadLetter[]; readonly outgoing: OutgoingRecord }[];
  readonly topic: string;
  /** Letters of units that were erased, before or since: they are never sent again. */
  readonly erased: readonly DeadLetter[];
};

/** Nothing to send: the groups publish nothing of a record whose unit was erased before it failed. */
const isEmptied = ({ record }: DeadLetter): boolean => record.key === null && record.value === null;

const recordsPerSend = 200;
const bytesPerSend = 1_000_000;

/** Decides what a retry would send. A record that several groups refused is sent once: every group reads it. */
export async function planRetry(cluster: Cluster, letters: readonly DeadLetter[]): Promise<RetryPlan> {
  const topic = cluster.topicName('events');
  const foreign = letters.find(({ record }) => record.source_topic !== topic);
  if (foreign !== undefined) {
    throw new FatalError(
      `${formatName(foreign)} comes from ${foreign.record.source_topic}: retry it where that is read`,
      {
        code: 'config-invalid',
      },
    );
  }
  const open = await createLetterOpener(cluster);
  const erased: DeadLetter[] = [];
  const byOrigin = new Map<string, { letters: DeadLetter[]; outgoing: OutgoingRecord }>();
  for (const letter of letters) {
    if (isEmptied(letter)) {
      erased.push(letter);
      continue;
    }
    const { source, isOfErasedUnit } = await open(letter);
    if (isOfErasedUnit) {
      erased.push(letter);
      continue;
    }
    const origin = formatPosition(letter.origin);
    const known = byOrigin.get(origin);
    if (known === undefined) byOrigin.set(origin, { letters: [letter], outgoing: toOutgoing(source, letter) });
    else known.letters.push(letter);
  }
  return { topic, records: [...byOrigin.values()], erased };
}

function toOutgoing({ key, value, headers }: KafkaRecord, letter: DeadLetter): OutgoingRecord {
  return { key, value, headers: { ...headers, [originHeader]: formatPosition(letter.origin) } };
}

/**
 * Sends the records of the plan again and marks their letters as retried, in chunks. Safe to repeat after a crash: the event of a
 * record keeps its identity, so a group that has it already counts a duplicate.
 */
export async function applyRetry(cluster: Cluster, plan: RetryPlan, acting: Acting): Promise<{ sent: number }> {
  const producer = createRecordProducer({ kafka: cluster.kafka });
  let sent = 0;
  try {
    for (const chunk of chunksOf(plan.records)) {
      await producer.send(
        plan.topic,
        chunk.map(({ outgoing }) => outgoing),
      );
      await markLetters(cluster, { letters: chunk.flatMap(({ letters }) => letters), action: 'retried', acting });
      sent += chunk.length;
    }
  } finally {
    await producer.disconnect();
  }
  return { sent };
}

/** Marks the letters as discarded, with an entry in exp.audit_log. Their records stay in the topic until it expires them. */
export async function discard(cluster: Cluster, letters: readonly DeadLetter[], acting: Acting): Promise<void> {
  if (letters.length > 0) await markLetters(cluster, { letters, action: 'discarded', acting });
}

async function markLetters(
  cluster: Pick<Cluster, 'pool'>,
  options: { letters: readonly DeadLetter[]; action: 'retried' | 'discarded'; acting: Acting },
): Promise<void> {
  const { letters, action, acting } = options;
  const marked = letters.flatMap((letter) =>
    letter.positions.map((position) => ({ groupId: letter.groupId, ...position })),
  );
  await inTransaction(cluster.pool, async (tx) => {
    await tx.query(
      `INSERT INTO exp.dead_letter_actions (group_id, source_topic, source_partition, source_offset, action, actor, because)
       SELECT g, t, p, o, $5, $6, $7 FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS m (g, t, p, o)
       ON CONFLICT (group_id, source_topic, source_partition, source_offset)
       DO UPDATE SET action = excluded.action, at = now(), actor = excluded.actor, because = excluded.because`,
      [
        marked.map(({ groupId }) => groupId),
        marked.map(({ topic }) => topic),
        marked.map(({ partition }) => partition),
        marked.map(({ offset }) => offset),
        action,
        acting.actor,
        acting.because,
      ],
    );
    await tx.query(`INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES ($1, $2, 'dead letters', $3)`, [
      acting.actor,
      action === 'retried' ? 'dead-letters.retry' : 'dead-letters.discard',
      JSON.stringify({
        count: letters.length,
        because: acting.because,
        letters: letters.slice(0, 1_000).map(formatName),
      }),
    ]);
  });
}

function chunksOf(records: RetryPlan['records']): RetryPlan['records'][] {
  const chunks: RetryPlan['records'][number][][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const record of records) {
    const size = record.outgoing.value?.length ?? 0;
    const current = chunks.at(-1);
    if (current === undefined || current.length >= recordsPerSend || bytes + size > bytesPerSend) {
      chunks.push([record]);
      bytes = size;
    } else {
      current.push(record);
      bytes += size;
    }
  }
  return chunks;
}
