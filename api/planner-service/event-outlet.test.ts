// Tests of the events' way out: in order, once the service is back, and never lost in silence.
import { expect, test } from 'vitest';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import type { EventBody, SendOutcome } from '#producers/workload-client/workload-port.ts';
import { until } from '#tests/support/poll.ts';
import { createEventOutlet } from './event-outlet.ts';

const eventOf = (event_id: string): EventBody => ({
  event_id,
  event_type: 'plan_generated',
  unit_type: 'household',
  unit_id: 'h',
  experiments: [],
  context: {},
  metrics: {},
  timestamp: '2026-01-05T00:00:00Z',
});

function openOutlet(
  send: (events: readonly EventBody[]) => Promise<SendOutcome[]>,
  limits: { maxQueued?: number; maxQueuedBytes?: number } = {},
) {
  const metrics = createMetrics({ service: 'test' });
  const clock = { nowMs: 0 };
  const errors: unknown[] = [];
  const log = { ...createSilentLogger(), error: (...args: unknown[]) => void errors.push(args) };
  const outlet = createEventOutlet({
    port: { send },
    maxQueued: 1_000,
    maxQueuedBytes: 1_000_000,
    ...limits,
    nowMs: () => clock.nowMs,
    metrics,
    log: log as never,
  });
  const counted = async () => {
    const { text } = await metrics.expose();
    return Object.fromEntries(
      [...text.matchAll(/planner_events_total\{outcome="(\w+)".*\} (\d+)/g)].map(([, outcome, count]) => [
        outcome,
        Number(count),
      ]),
    );
  };
  return { outlet, errors, counted, clock };
}
const accept = (events: readonly EventBody[]): SendOutcome[] =>
  events.map(({ event_id }) => ({ event_id, status: 'accepted' }));

test('sends in order while more come in, and a stop waits for what is under way', async () => {
  const sent: string[] = [];
  const gate = Promise.withResolvers<void>();
  const { outlet, counted, errors } = openOutlet(async (events) => {
    await gate.promise;
    sent.push(...events.map(({ event_id }) => event_id));
    return accept(events);
  });
  for (const id of ['a', 'b', 'c']) outlet.offer([eventOf(id)]);
  expect(outlet.waiting().events).toBe(3);
  gate.resolve();
  await outlet[Symbol.asyncDispose]();
  expect(sent).toEqual(['a', 'b', 'c']);
  expect([await counted(), errors]).toEqual([{ accepted: 3, rejected: 0, lost: 0 }, []]);
});

test('has no room beyond its bound until something is sent', async () => {
  const gate = Promise.withResolvers<void>();
  const { outlet } = openOutlet(
    async (events) => {
      await gate.promise;
      return accept(events);
    },
    { maxQueued: 2 },
  );
  outlet.offer([eventOf('a')]);
  expect(outlet.hasRoom()).toBe(true);
  outlet.offer([eventOf('b')]);
  expect(outlet.hasRoom()).toBe(false);
  gate.resolve();
  await until('there is room again', () => outlet.hasRoom());
});

test('has no room beyond its bound of bytes, and says so while nobody takes what it sends', async () => {
  const gate = Promise.withResolvers<void>();
  const bytes = JSON.stringify(eventOf('a')).length;
  const { outlet, clock } = openOutlet(
    async (events) => {
      await gate.promise;
      return accept(events);
    },
    { maxQueuedBytes: bytes + 1 },
  );
  outlet.offer([eventOf('a')]);
  expect([outlet.hasRoom(), outlet.isStuck()]).toEqual([true, false]);
  outlet.offer([eventOf('b')]);
  clock.nowMs = 5_001;
  expect([outlet.hasRoom(), outlet.isStuck(), outlet.waiting()]).toEqual([
    false,
    true,
    { events: 2, bytes: 2 * bytes },
  ]);
  gate.resolve();
  await until('there is room again', () => outlet.hasRoom() && !outlet.isStuck());
  await until('nothing waits', () => outlet.waiting().bytes === 0);
});

test('counts and logs what is refused and what is given up, and goes on with the next', async () => {
  let attempt = 0;
  const { outlet, errors, counted } = openOutlet(async (events) => {
    attempt += 1;
    if (attempt === 1) throw new Error('away for too long');
    return events.map(({ event_id }) => ({ event_id, status: 'rejected', code: 'invalid', message: 'no' }));
  });
  outlet.offer([eventOf('a')]);
  await until('the first is given up', () => outlet.waiting().events === 0);
  outlet.offer([eventOf('b')]);
  await outlet[Symbol.asyncDispose]();
  expect(await counted()).toEqual({ accepted: 0, rejected: 1, lost: 1 });
  expect(JSON.stringify(errors)).toContain('"ids":["a"]');
  expect(errors).toHaveLength(2);
});
