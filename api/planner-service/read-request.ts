// The planning request of a household, from what it asks for and from the rows that hold at that time; refuses what could not be logged.
import { Value } from '@sinclair/typebox/value';
import { RequestError } from '#api/request-error.ts';
import { isStorableText } from '#domain/event/parse-event.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { type HouseholdFacts, requestOfFacts } from '#domain/planning/request-of-facts.ts';
import { type PlanRequest, PlanRequestShape } from '#domain/planning/request-shape.ts';
import { createRandom } from '#domain/planning/seeded-random.ts';
import { FatalError } from '#platform/errors.ts';
import type { RecipeHistory } from './recipe-history.ts';
import type { PlanBody } from './wire-schemas.ts';

export type RequestReaderDeps = {
  findFacts: (householdId: string, time: string) => Promise<HouseholdFacts | null>;
  recipes: Pick<RecipeHistory, 'catalogueAt' | 'lookAgain'>;
  /** Those of the ingestion service: the events about a plan have the time of its request. */
  eventTime: { readonly earliestMs: number; readonly maxAheadMs: number };
  nowMs: () => number;
};

export type ReadRequest = { readonly request: PlanRequest; readonly catalogue: Catalogue };

const refuse = (field: string, problem: string): RequestError =>
  new RequestError(400, { code: 'invalid-request', field, message: `${field} ${problem}` });

/** @throws RequestError for what the caller can do something about; a dependency's error when the household cannot be read. */
export function createRequestReader(deps: RequestReaderDeps): (body: PlanBody, planId: string) => Promise<ReadRequest> {
  return async ({ household_id, request: wish }, planId) => {
    const requestedAt = toInstant(wish.requested_at, deps);
    checkSlots(wish);
    const facts = await deps.findFacts(household_id, requestedAt);
    if (facts === null) {
      throw new RequestError(404, {
        code: 'unknown-household',
        field: 'household_id',
        message: `nothing is known of household ${household_id} at ${requestedAt}`,
      });
    }
    const catalogue = await findCatalogue(deps.recipes, requestedAt);
    const random = createRandom(`planner-service/candidates/${planId}`);
    const { workflow_type, mode, slots, previous_plan = null } = wish;
    const request = requestOfFacts({ workflow_type, mode, requested_at: requestedAt, slots, previous_plan }, facts, {
      catalogue,
      random,
    });
    const problem = Value.Errors(PlanRequestShape, request).First();
    if (problem !== undefined) {
      // Without the household: logs hold no unit ids.
      throw new FatalError(`the rows of a household make no request: ${problem.path} ${problem.message}`, {
        code: 'unexpected',
      });
    }
    return { request, catalogue };
  };
}

function checkSlots({ slots, previous_plan }: PlanBody['request']): void {
  const slotIds = new Set(slots.map(({ date, meal }) => `${date}/${meal}`));
  if (slotIds.size < slots.length) throw refuse('request.slots', 'must name each date and meal once');
  for (const [index, { date, candidates = [] }] of slots.entries()) {
    const place = `request.slots[${index}]`;
    if (!isCalendarDate(date)) throw refuse(`${place}.date`, `is no day of the calendar: ${date}`);
    const unstorable = candidates.findIndex((recipeId) => !isStorableText(recipeId));
    if (unstorable !== -1) throw refuse(`${place}.candidates[${unstorable}]`, noRecipeId);
  }
  for (const [index, slot] of (previous_plan?.slots ?? []).entries()) {
    for (const name of ['recipe_id', 'replaced_recipe_id'] as const) {
      const place = `request.previous_plan.slots[${index}].${name}`;
      if (!isStorableText(slot[name] ?? '')) throw refuse(place, noRecipeId);
    }
  }
}
const noRecipeId = 'must be text without NUL characters and unpaired surrogates';

function isCalendarDate(text: string): boolean {
  const ms = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

function toInstant(text: string | undefined, { eventTime, nowMs }: RequestReaderDeps): string {
  const now = nowMs();
  const ms = text === undefined ? now : Date.parse(text);
  if (Number.isNaN(ms)) throw refuse('request.requested_at', `is no time: ${text}`);
  const [earliestMs, latestMs] = [eventTime.earliestMs, now + eventTime.maxAheadMs];
  if (ms < earliestMs || ms > latestMs) {
    const [from, to] = [earliestMs, latestMs].map((bound) => new Date(bound).toISOString());
    throw refuse('request.requested_at', `must be from ${from} to ${to}: its events would not be accepted`);
  }
  return new Date(ms).toISOString();
}

async function findCatalogue(recipes: RequestReaderDeps['recipes'], time: string): Promise<Catalogue> {
  const isEmpty = (catalogue: Catalogue): boolean => catalogue.listRecipes().length === 0;
  if (isEmpty(recipes.catalogueAt(time))) await recipes.lookAgain();
  const catalogue = recipes.catalogueAt(time);
  if (!isEmpty(catalogue)) return catalogue;
  throw new RequestError(503, { code: 'no-recipes', message: `there is no recipe in exp.recipes at ${time}` });
}
