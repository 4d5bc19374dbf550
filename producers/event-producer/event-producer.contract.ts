// What every event producer promises, run against the fake (unit) and against real Kafka (integration).
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type EventProducer, InvalidEventError } from '#producers/event-producer/event-producer.ts';
import { ProducerOverloadedError, type QueueLimits } from '#producers/event-producer/send-queue.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { sampleEvent } from '#tests/support/events.ts';

type Subject = {
  create(limits: Partial<QueueLimits>): Promise<EventProducer>;
  /** Ids of the acknowledged events of one unit, in the order of the topic, as an independent reader sees them. */
  readEventIds(unitId: string): Promise<readonly string[]>;
};

function eventsOf(unitId: string, count: number): EventRecord[] {
  return Array.from({ length: count }, () => sampleEvent({ unit_id: unitId }));
}

function encoded(producer: EventProducer, events: readonly EventRecord[]) {
  return events.map((event) => {
    const result = producer.encode(event);
    if (!result.ok) throw new Error(result.problem.message);
    return result.record;
  });
}

export function describeEventProducerContract(name: string, subject: Subject): void {
  describe(`${name} keeps the contract of an event producer`, () => {
    it('has every event on the topic when send resolves, in order per unit', async () => {
      await using producer = await subject.create({});
      const unitId = `unit-${randomUUID()}`;
      const events = eventsOf(unitId, 25);
      await producer.send(events);
      expect(await subject.readEventIds(unitId)).toEqual(events.map((event) => event.event_id));
    });

    it('keeps the order of concurrent sends of one unit', async () => {
      await using producer = await subject.create({ maxRequestRecords: 3 });
      const unitId = `unit-${randomUUID()}`;
      const events = eventsOf(unitId, 20);
      await Promise.all(events.map((event) => producer.send([event])));
      expect(await subject.readEventIds(unitId)).toEqual(events.map((event) => event.event_id));
    });

    it('refuses a bad event with its field named and sends nothing of that call', async () => {
      await using producer = await subject.create({});
      const unitId = `unit-${randomUUID()}`;
      const bad = sampleEvent({ unit_id: unitId, metrics: { click: Number.NaN } });
      const refused = producer.send([...eventsOf(unitId, 2), bad]);
      await expect(refused).rejects.toThrow(InvalidEventError);
      await expect(refused).rejects.toThrow('events[2].metrics.click must be a finite number');
      expect(await subject.readEventIds(unitId)).toEqual([]);
    });

    it('names the field of a value whose type is wrong', async () => {
      await using producer = await subject.create({});
      const bad = { ...sampleEvent(), context: { size: { nested: true } } } as unknown as EventRecord;
      expect(producer.encode(bad)).toMatchObject({ ok: false, problem: { field: 'context.size' } });
      const missing = { ...sampleEvent(), experiments: undefined } as unknown as EventRecord;
      expect(producer.encode(missing)).toMatchObject({ ok: false, problem: { field: 'experiments' } });
    });

    it('refuses an event that is too large for the topic, before sending', async () => {
      await using producer = await subject.create({});
      const result = producer.encode(sampleEvent({ payload: JSON.stringify('é'.repeat(510_000)) }));
      expect(result).toMatchObject({ ok: true });
      const wide = producer.encode(sampleEvent({ payload: JSON.stringify('語'.repeat(400_000)) }));
      expect(wide).toMatchObject({ ok: false, problem: { field: 'payload' } });
    });

    it('gives one outcome per event, in order', async () => {
      await using producer = await subject.create({ maxRequestRecords: 2 });
      const deliveries = await producer.sendEach(encoded(producer, eventsOf(`unit-${randomUUID()}`, 5)));
      expect(deliveries).toEqual(Array.from({ length: 5 }, () => ({ status: 'acknowledged' })));
      expect(await producer.sendEach([])).toEqual([]);
    });

    it('refuses a send that does not fit into its bounds and takes nothing of it', async () => {
      await using producer = await subject.create({ maxQueuedRecords: 3 });
      const unitId = `unit-${randomUUID()}`;
      const events = eventsOf(unitId, 4);
      await expect(producer.sendEach(encoded(producer, events))).rejects.toThrow(ProducerOverloadedError);
      await producer.send(events.slice(0, 3));
      expect(await subject.readEventIds(unitId)).toEqual(events.slice(0, 3).map((event) => event.event_id));
      expect(producer.depth()).toEqual({ records: 0, bytes: 0 });
    });

    it('finishes what it took before it closes, and takes nothing afterwards', async () => {
      const producer = await subject.create({});
      const unitId = `unit-${randomUUID()}`;
      const events = eventsOf(unitId, 3);
      const sent = producer.send(events);
      await producer[Symbol.asyncDispose]();
      await sent;
      expect(await subject.readEventIds(unitId)).toEqual(events.map((event) => event.event_id));
      await expect(producer.send(events)).rejects.toThrow('closed');
    });
  });
}
