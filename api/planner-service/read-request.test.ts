// Tests of what a planning request is refused for before a plan is made that could not be logged.
import { expect, test } from 'vitest';
import { RequestError } from '#api/request-error.ts';
import { isValidAt } from '#domain/planning/temporal-rows.ts';
import { committedCatalogue, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { createRequestReader } from './read-request.ts';
import type { PlanBody } from './wire-schemas.ts';

const { rows } = sampleWorld({ households: 1, days: 1 });
const household = rows.households[0]!;
const nowMs = Date.parse('2026-01-06T12:00:00Z');
const read = createRequestReader({
  findFacts: async (_, time) => ({
    household,
    pantryItems: rows.pantryItems.filter((row) => isValidAt(row, time)),
    constraints: rows.constraints,
  }),
  recipes: { catalogueAt: () => committedCatalogue, lookAgain: async () => undefined },
  eventTime: { earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 },
  nowMs: () => nowMs,
});
const slot = { date: '2026-01-07', meal: 'dinner' as const, servings: 2 };
const ask = (request: Partial<PlanBody['request']>) =>
  read(
    {
      household_id: household.household_id,
      request: { workflow_type: 'weekly_plan', mode: 'standard', slots: [slot], ...request },
    },
    '00000000-0000-4000-8000-000000000001',
  );
const refusalOf = async (request: Partial<PlanBody['request']>): Promise<string> => {
  const error = await ask(request).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return error instanceof RequestError ? `${error.statusCode} ${error.body.field}` : String(error);
};
const previous = (slots: { recipe_id: string; replaced_recipe_id: string | null }[]) => ({
  previous_plan: {
    plan_id: '00000000-0000-4000-8000-000000000002',
    outcome: 'edited' as const,
    slots: slots.map((ids) => ({ slot_id: '2026-01-05/dinner', ...ids })),
  },
});

test('a request without a time is of now, and one of an accepted time is of that time', async () => {
  expect((await ask({})).request.requested_at).toBe('2026-01-06T12:00:00.000Z');
  expect((await ask({ requested_at: '2026-01-05T12:00:00Z' })).request.requested_at).toBe('2026-01-05T12:00:00.000Z');
});

test('what the ingestion service would not take of its events is refused at once, with its place', async () => {
  expect([
    await refusalOf({ requested_at: '2014-12-31T23:59:59Z' }),
    await refusalOf({ requested_at: '2026-01-06T13:00:01Z' }),
    await refusalOf({ slots: [slot, { ...slot, meal: 'lunch', candidates: ['aljotta', 'a\u0000b'] }] }),
    await refusalOf(
      previous([
        { recipe_id: 'aljotta', replaced_recipe_id: null },
        { recipe_id: '\ud800', replaced_recipe_id: null },
      ]),
    ),
    await refusalOf(previous([{ recipe_id: 'aljotta', replaced_recipe_id: '\u0000' }])),
  ]).toEqual([
    '400 request.requested_at',
    '400 request.requested_at',
    '400 request.slots[1].candidates[1]',
    '400 request.previous_plan.slots[1].recipe_id',
    '400 request.previous_plan.slots[0].replaced_recipe_id',
  ]);
});
