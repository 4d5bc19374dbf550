// Ten times more events than Kafka can take: the door sheds load in time, stays within its memory, and keeps what it acknowledged.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventDateOf } from '#domain/event/parse-event.ts';
import type { ChaosStack } from './chaos-stack.ts';
import type { FaultLink } from './fault-link.ts';
import { findViolations } from './invariants.ts';
import { createLedger } from './ledger.ts';
import { recordOffsetMoves } from './offset-history.ts';
import { type Station, startSystemUnderFire } from './system-under-fire.ts';

/** Highest memory that the process ever held, in bytes: its code and heap, 32 MB of bodies, 32 MB that wait for Kafka, and slack. */
const memoryBoundBytes = 512 * 1024 * 1024;
/** What passes to Kafka; an event has about 2 KB. */
const linkBytesPerSecond = 200_000;
const eventsPerRequest = 50;
const requestIntervalMs = 33;
const durationMs = 25_000;

async function peakMemoryBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1_024;
}

export async function checkOverload(chaos: ChaosStack, doors: readonly FaultLink[]): Promise<void> {
  const system = await startSystemUnderFire({ stack: chaos.stack, doors, replicas: { 'ingestion-service': 1 } });
  const { run } = system;
  const ledger = createLedger();
  try {
    await recordOffsetMoves(run.database.pool);
    const [{ process: door, links }] = system.of('ingestion-service') as [Station];
    links.kafka.become({ kind: 'narrow', bytesPerSecond: linkBytesPerSecond });
    const answers = new Map<number, number>();
    const withoutRetryAfter: number[] = [];

    const sendBatch = async (): Promise<void> => {
      const timestamp = new Date().toISOString();
      const events = Array.from({ length: eventsPerRequest }, (_, index) => ({
        event_id: randomUUID(),
        event_type: 'view',
        unit_type: 'user',
        unit_id: `unit-${index}`,
        timestamp,
        payload: { filling: randomUUID().repeat(55) },
      }));
      for (const { event_id: eventId } of events)
        ledger.sent({ eventId, identity: `${eventId}/${eventDateOf(Date.parse(timestamp))}`, unit: eventId });
      const answer = await fetch(`${door.url}/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${run.access.ingestKey}`, 'content-type': 'application/json' },
        body: JSON.stringify(events),
      });
      const { results } = (await answer.json()) as { results?: { event_id: string; status: string }[] };
      answers.set(answer.status, (answers.get(answer.status) ?? 0) + 1);
      if ([429, 503].includes(answer.status) && !/^\d+$/.test(answer.headers.get('retry-after') ?? ''))
        withoutRetryAfter.push(answer.status);
      for (const { event_id, status } of results ?? [])
        if (status === 'accepted') ledger.answered(event_id, 'acknowledged');
    };

    const begin = performance.now();
    const sent: Promise<void>[] = [];
    // At its own pace, whatever the answers are: callers do not slow down because a service does.
    while (performance.now() - begin < durationMs) {
      sent.push(sendBatch());
      await sleep(requestIntervalMs);
    }
    await Promise.all(sent);
    const offered = ledger.entries().length;
    const acknowledged = ledger.count('acknowledged');
    const peak = await peakMemoryBytes(door.pid!);
    console.log(
      `overload: ${offered} events offered, ${acknowledged} acknowledged; answers ${JSON.stringify(Object.fromEntries(answers))}; peak memory ${Math.round(peak / 1_048_576)} MB`,
    );
    expect(run.unexpectedEnds).toEqual([]);
    expect(acknowledged).toBeGreaterThan(0);
    expect(offered).toBeGreaterThan(10 * acknowledged);
    expect([...answers.keys()].filter((status) => ![202, 429, 503].includes(status))).toEqual([]);
    expect((answers.get(429) ?? 0) + (answers.get(503) ?? 0)).toBeGreaterThan(0);
    expect(withoutRetryAfter).toEqual([]);
    expect(peak).toBeLessThan(memoryBoundBytes);

    links.kafka.become({ kind: 'open' });
    const { problems } = await findViolations(run, ledger, { groups: [], answers: new Map() });
    expect(problems).toEqual([]);
  } finally {
    await system.stop();
  }
}
