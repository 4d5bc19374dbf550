// The pairing in SQL against the rules in domain/dataset: any order and any batches give the row that the rules give.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sampleFeedbackPayload, sampleGeneratedPayload, samplePlanEvent } from '#domain/dataset/dataset-samples.ts';
import { pairPlanEvents } from '#domain/dataset/pair-plan-events.ts';
import { parsePlanEvent } from '#domain/dataset/parse-plan-event.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTrainingRowsSink } from './sink.ts';

const seed = 20260108;
const idOf = (index: number) => `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`;
const sink = createTrainingRowsSink();
let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = database.poolAs('dataset_builder');
});
afterAll(() => database.drop());

const arbitraryEvent = fc
  .record({
    type: fc.constantFrom('plan_generated' as const, 'plan_accepted' as const, 'plan_edited' as const),
    planId: fc.constantFrom(idOf(1), idOf(2)),
    eventId: fc.integer({ min: 0, max: 20 }).map(idOf),
    second: fc.integer({ min: 0, max: 2 }),
  })
  .map(({ type, planId, eventId, second }) =>
    samplePlanEvent(type, type === 'plan_generated' ? sampleGeneratedPayload(planId) : sampleFeedbackPayload(planId), {
      event_id: eventId,
      event_time: Date.UTC(2026, 0, 4, 10, 0, second),
    }),
  );

const write = (events: readonly EventRecord[]) =>
  inTransaction(pool, (tx) => {
    const records = events.map((value, index) => ({
      record: { topic: 't', partition: 0, offset: BigInt(index), key: null, value: null, headers: {}, timestampMs: 0 },
      value,
    }));
    const nextOffset = BigInt(events.length);
    return sink.write(tx, { topic: 't', partition: 0, firstOffset: 0n, nextOffset, records, rejected: [] }, undefined);
  });

it('gives the same rows as the rules, and counts every record once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(arbitraryEvent, { selector: ({ event_id }) => event_id, minLength: 1, maxLength: 10 }),
      fc.array(fc.nat(), { maxLength: 5 }),
      fc.integer({ min: 1, max: 4 }),
      async (events, repeats, batchSize) => {
        await database.pool.query('TRUNCATE exp.training_rows CASCADE');
        const sent = [...events, ...repeats.map((pick) => events[pick % events.length]!)];
        const totals = { written: 0, duplicates: 0 };
        for (let from = 0; from < sent.length; from += batchSize) {
          const result = await write(sent.slice(from, from + batchSize));
          totals.written += result.written;
          totals.duplicates += result.duplicates;
          expect(result.rejected).toEqual([]);
        }
        expect(totals.written + totals.duplicates).toBe(sent.length);
        expect(totals.written).toBeGreaterThanOrEqual(events.length);
        const stored = await database.pool.query(
          'SELECT plan_id, generated_event_id, reaction_event_id, reaction FROM exp.training_rows ORDER BY plan_id',
        );
        const paired = pairPlanEvents(
          events.flatMap((event) => {
            const parsed = parsePlanEvent(event);
            return parsed.ok && parsed.event !== null ? [parsed.event] : [];
          }),
        );
        expect(stored.rows).toEqual(
          paired.map(({ planId, generated, reaction }) => ({
            plan_id: planId,
            generated_event_id: generated?.eventId ?? null,
            reaction_event_id: reaction?.eventId ?? null,
            reaction: reaction?.reaction ?? null,
          })),
        );
      },
    ),
    { seed, numRuns: 60 },
  );
});
