// What others do at the same time: another team writes to Kafka itself, good and bad records; services ask for assignments.
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Kafka, type Producer } from 'kafkajs';
import { eventDateOf, eventKeyOf } from '#domain/event/parse-event.ts';
import { createRandom, drawInteger, drawOne } from '#domain/planning/seeded-random.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { sampleEvent } from '#tests/support/events.ts';
import type { Ledger } from './ledger.ts';
import { makePoison, poisonNames } from './poison.ts';

type Stoppable = { stop(): Promise<void> };

/** Keeps one piece of work going until it is stopped; `stop` throws what the work threw. */
function repeat(work: (turn: number) => Promise<void>, pauseMs: number): Stoppable {
  let stopped = false;
  const running = (async () => {
    for (let turn = 0; !stopped; turn += 1) {
      await work(turn);
      await sleep(pauseMs);
    }
  })();
  running.catch(() => undefined);
  return {
    stop: async () => {
      stopped = true;
      await running;
    },
  };
}

/**
 * Writes good events of its own, and records that some or all groups cannot use. A failed send is unknown: a new producer goes on, as
 * a client must whose sequence is broken.
 */
export function startDirectProducer(options: {
  seed: number;
  kafka: Kafka;
  topic: string;
  encode: (event: EventRecord) => Buffer;
  ledger: Ledger;
}): Stoppable {
  const { kafka, topic, encode, ledger } = options;
  const random = createRandom(`direct/${options.seed}`);
  let producer: Producer | undefined;
  const connect = async (): Promise<Producer> => {
    const created = kafka.producer({
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 500 },
    });
    await created.connect();
    return created;
  };
  const loop = repeat(async () => {
    const good = Array.from({ length: 3 }, () => {
      const event = sampleEvent({
        unit_id: `direct-${drawInteger(random, 0, 30)}`,
        experiments: [],
        metrics: { revenue: random() * 10 },
        event_time: Date.now() - drawInteger(random, 0, 3_600_000),
      });
      return { event, identity: `${event.event_id}/${eventDateOf(event.event_time)}` };
    });
    const bad = makePoison(drawOne(random, poisonNames), encode);
    for (const { event, identity } of good) ledger.sent({ eventId: event.event_id, identity, unit: eventKeyOf(event) });
    ledger.sent({ eventId: bad.eventId, identity: bad.identity, unit: bad.key, isOdd: true });
    try {
      producer ??= await connect();
      await producer.send({
        topic,
        acks: -1,
        messages: [
          ...good.map(({ event }) => ({ key: eventKeyOf(event), value: encode(event) })),
          { key: bad.key, value: bad.value, partition: drawInteger(random, 0, topics.events.partitions - 1) },
        ],
      });
      for (const { event } of good) ledger.answered(event.event_id, 'acknowledged');
    } catch {
      await producer?.disconnect().catch(() => undefined);
      producer = undefined;
    }
  }, 150);
  return {
    stop: async () => {
      await loop.stop();
      await producer?.disconnect().catch(() => undefined);
    },
  };
}

/** Asks for assignments of more and more units, again and again; two different answers for one unit are a complaint. */
export function startAssignmentRequests(options: {
  seed: number;
  urls: readonly string[];
  apiKey: string;
  experimentKey: string;
  complain: (problem: string) => void;
}): Stoppable & { answers(): ReadonlyMap<string, string> } {
  const random = createRandom(`assignments/${options.seed}`);
  const answers = new Map<string, string>();
  const loop = repeat(async (turn) => {
    const unitId = `asker-${drawInteger(random, 0, 5 + turn)}`;
    try {
      const answer = await fetch(`${drawOne(random, options.urls)}/v1/assignments`, {
        method: 'POST',
        headers: { authorization: `Bearer ${options.apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          unit_type: 'user',
          unit_id: unitId,
          context: {},
          requested_experiments: [options.experimentKey],
        }),
        signal: AbortSignal.timeout(8_000),
      });
      if (answer.status !== 200) {
        await answer.body?.cancel();
        return;
      }
      const { assignments } = (await answer.json()) as { assignments: { variant_id: string }[] };
      const variantId = assignments[0]?.variant_id;
      if (variantId === undefined) return;
      const before = answers.get(unitId) ?? variantId;
      if (before !== variantId) options.complain(`${unitId} got ${before} and then ${variantId}`);
      answers.set(unitId, before);
    } catch {
      // Away or restarting: the next one will tell.
    }
  }, 60);
  return { stop: loop.stop, answers: () => answers };
}
