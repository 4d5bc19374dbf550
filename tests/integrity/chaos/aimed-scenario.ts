// A short run with two groups and the two faults that tell right code from wrong: death right after a commit, and a member replaced in mid-flush.
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { eventDateOf, eventKeyOf } from '#domain/event/parse-event.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { sampleEvent, storeSampleExperiment } from '#tests/support/events.ts';
import { until } from '#tests/support/poll.ts';
import { readLogEnds, readPositions } from '#tests/support/stored-events.ts';
import type { TestSystem } from '#tests/support/test-system.ts';
import type { ChaosStack } from './chaos-stack.ts';
import { startDirectProducer } from './direct-traffic.ts';
import { isolateInFlush, strikeAt } from './faults.ts';
import { findViolations } from './invariants.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { recordOffsetMoves } from './offset-history.ts';
import { makePoison, poisonNames } from './poison.ts';
import { startSystemUnderFire } from './system-under-fire.ts';

const groups = ['postgres-sink', 'metrics-aggregator'] as const;
const eventCount = 360;
/** A right system needs a second or two; a wrong one may never arrive, and its problems are found all the same. */
const settleDeadlineMs = 20_000;

/** Good events, every third one twice, and every kind of poison in every partition. */
async function sendRecords(run: TestSystem, ledger: Ledger, encode: (event: EventRecord) => Buffer): Promise<void> {
  const events = Array.from({ length: eventCount }, (_, index) =>
    sampleEvent({ unit_id: `unit-${index % 60}`, metrics: { revenue: index }, event_time: Date.now() - index * 1_000 }),
  );
  const repeated = events.filter((_, index) => index % 3 === 0);
  const poison = Array.from({ length: topics.events.partitions }, (_, partition) =>
    poisonNames.map((name) => ({ ...makePoison(name, encode), partition })),
  ).flat();
  for (const event of events)
    ledger.sent({
      eventId: event.event_id,
      identity: `${event.event_id}/${eventDateOf(event.event_time)}`,
      unit: eventKeyOf(event),
    });
  for (const { eventId, identity, key } of poison) ledger.sent({ eventId, identity, unit: key, isOdd: true });
  const producer = run.topics.kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  const send = (messages: { key: string; value: Buffer | null; partition?: number }[]) =>
    producer.send({ topic: run.topics.name('events'), acks: -1, messages });
  const toMessage = (event: EventRecord) => ({ key: eventKeyOf(event), value: encode(event) });
  // In turns, so that a flush has something of everything.
  const turns = 6;
  const shareOf = <T>(list: readonly T[], turn: number): T[] => list.filter((_, index) => index % turns === turn);
  for (let turn = 0; turn < turns; turn += 1) {
    await send([...shareOf(poison, turn), ...shareOf(events, turn).map(toMessage)]);
    await send(shareOf(repeated, turn).map(toMessage));
  }
  await producer.disconnect();
  for (const { event_id } of events) ledger.answered(event_id, 'acknowledged');
}

/** Everything that is wrong at the end, in words. */
export async function runAimedScenario(
  chaos: ChaosStack,
  options: { faults: readonly ('death after a commit' | 'replaced in mid-flush')[]; codeRoot?: string },
): Promise<string[]> {
  const ledger = createLedger();
  const system = await startSystemUnderFire({
    stack: chaos.stack,
    doors: chaos.doors,
    replicas: { 'postgres-sink': options.faults.includes('replaced in mid-flush') ? 2 : 1, 'metrics-aggregator': 1 },
    settings: () => ({ KAFKA_SESSION_TIMEOUT_MS: '3000', FLUSH_MAX_AGE_MS: '100' }),
    ...(options.codeRoot === undefined ? {} : { codeRoot: options.codeRoot }),
  });
  const { run } = system;
  const missed: string[] = [];
  try {
    await recordOffsetMoves(run.database.pool);
    await storeSampleExperiment(run.database.pool);
    const encode = await run.topics.encoder<EventRecord>('events');
    const sink = system.of('postgres-sink');
    if (options.faults.includes('death after a commit')) {
      const struck = strikeAt(sink, 'afterCommit', 'kill', { freezeMs: 0, downMs: 0 });
      await sendRecords(run, ledger, encode);
      if ((await struck) === null) missed.push('no commit was seen');
    } else {
      await sendRecords(run, ledger, encode);
    }
    if (options.faults.includes('replaced in mid-flush')) {
      const traffic = startDirectProducer({
        seed: 1,
        kafka: run.topics.kafka,
        topic: run.topics.name('events'),
        encode,
        ledger,
      });
      if (!(await isolateInFlush(system, sink[0]!))) missed.push('no member was replaced in mid-flush');
      // Its flushes have reached Postgres; what it may have broken must not be repaired by further traffic.
      await traffic.stop();
    }
    if (missed.length > 0) throw new Error(missed.join('; '));
    const ends = await readLogEnds(run.topics.kafka, run.topics.namespace);
    await until(
      'both groups are at the end of the topic',
      async () => {
        const positions = await Promise.all(
          groups.map((group) => readPositions(run.database.pool, inNamespace(group, run.topics.namespace))),
        );
        return positions.every((stored) => [...ends].every(([partition, end]) => stored.get(partition) === end));
      },
      { deadlineMs: settleDeadlineMs },
    ).catch(() => sleep(0));
    const { problems } = await findViolations(run, ledger, { groups, answers: new Map() });
    return [...run.unexpectedEnds, ...problems];
  } finally {
    await system.stop();
  }
}
