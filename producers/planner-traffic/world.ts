// Makes the simulated world from a seed: households with their constraints, pantries and hidden tastes, as temporal rows.

import { idOfName } from '#domain/assignment/deterministic-ids.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { allergens } from '#domain/planning/ingredient-lexicon.ts';
import {
  type Constraint,
  cookingSkills,
  type Household,
  type PlanningMode,
  planningModes,
  regions,
} from '#domain/planning/request-shape.ts';
import { createRandom, drawInteger, drawOne, drawSome, type Random } from '#domain/planning/seeded-random.ts';
import {
  type ConstraintRow,
  type DomainRows,
  type HouseholdRow,
  type PantryItemRow,
  toConstraintText,
  toPantryItemRow,
} from '#domain/planning/temporal-rows.ts';
import { drawStatedPreferences, drawTaste, type Taste } from './tastes.ts';

export type WorldOptions = {
  readonly seed: number;
  readonly households: number;
  readonly days: number;
  /** First simulated day, YYYY-MM-DD, in UTC. */
  readonly start: string;
  readonly catalogue: Catalogue;
};

export type SimulatedHousehold = {
  readonly householdId: string;
  /** Position in the world, 0-based: the random streams of the household are seeded with it. */
  readonly index: number;
  readonly taste: Taste;
  /** Day of the week of the weekly plan, 0 = Sunday. */
  readonly planningWeekday: number;
  readonly dinnerWeekdays: ReadonlySet<number>;
  readonly weekendBreakfasts: boolean;
  readonly usualMode: PlanningMode;
  readonly rows: {
    readonly household: readonly HouseholdRow[];
    readonly pantryItems: readonly PantryItemRow[];
    readonly constraints: readonly ConstraintRow[];
  };
};

export type World = WorldOptions & { readonly members: readonly SimulatedHousehold[]; readonly rows: DomainRows };

/** Recipes do not change with the run, so neither does the time from which they hold. */
const recipesValidFrom = '2020-01-01T00:00:00.000Z';

/** Rows that change do so in the first weeks, whatever the length of the run: a longer run only adds to a shorter one. */
const changesWithinDays = 28;

const perishables =
  'onion tomato potato carrot mushroom broccoli spinach zucchini cabbage avocado lemon chicken beef bacon egg cream yogurt cheese feta salmon'.split(
    ' ',
  );
const staples = ['rice', 'pasta', 'lentil', 'chickpea', 'bean', 'oat'];
const oftenDisliked = ['mushroom', 'olive', 'eggplant', 'cauliflower', 'beet', 'anchovy', 'liver'];

/** Makes the world of a seed. Equal options give an equal world; every (seed, start) has households of its own. More days or households only add rows. */
export function simulateWorld(options: WorldOptions): World {
  const members = Array.from({ length: options.households }, (_, index) => simulateHousehold(options, index));
  const rows: DomainRows = {
    households: members.flatMap((member) => member.rows.household),
    pantryItems: members.flatMap((member) => member.rows.pantryItems),
    constraints: members.flatMap((member) => member.rows.constraints),
    recipes: options.catalogue.listRecipes().map((recipe) => ({
      recipe_id: recipe.recipe_id,
      title: recipe.title,
      details: recipe,
      valid_from: recipesValidFrom,
      valid_to: null,
    })),
  };
  return { ...options, members, rows };
}

function simulateHousehold(options: WorldOptions, index: number): SimulatedHousehold {
  const random = createRandom(`household/${options.seed}/${options.start}/${index}`);
  const householdId = idOfName(`planner-traffic/household/${options.seed}/${options.start}/${index}`);
  const adults = random() < 0.3 ? 1 : 2;
  const children = random() < 0.4 ? drawInteger(random, 1, 3) : 0;
  const region = drawOne(random, regions);
  const cooking_skill = drawOne(random, cookingSkills);
  const taste = drawTaste({ region, hasChildren: children > 0, cookingSkill: cooking_skill }, random);
  const attributes: Omit<Household, 'household_id'> = {
    members: [
      ...Array.from({ length: adults }, () => ({ age_group: 'adult' as const })),
      ...Array.from({ length: children }, () => ({ age_group: 'child' as const })),
    ],
    region,
    cooking_skill,
    preferred_facets: drawStatedPreferences(taste, random),
  };
  const planningWeekday = drawInteger(random, 0, 6);
  return {
    householdId,
    index,
    taste,
    planningWeekday,
    dinnerWeekdays: new Set(drawSome(random, [0, 1, 2, 3, 4, 5, 6], drawOne(random, [3, 4, 5, 7]))),
    weekendBreakfasts: random() < 0.25,
    usualMode: random() < 0.6 ? 'standard' : drawOne(random, planningModes),
    rows: {
      household: toHouseholdRows(householdId, attributes, taste, options, random),
      constraints: toConstraintRows(householdId, drawConstraints(attributes, random), options, random),
      pantryItems: restock(householdId, planningWeekday, options, random),
    },
  };
}

/** A few households say more about themselves halfway, so that rows really change during a run. */
function toHouseholdRows(
  household_id: string,
  attributes: Omit<Household, 'household_id'>,
  taste: Taste,
  options: WorldOptions,
  random: Random,
): HouseholdRow[] {
  const base = { household_id, members: attributes.members.length, attributes };
  const rowFrom = { ...base, valid_from: timeOfDay(options.start, 0), valid_to: null };
  const restated = drawStatedPreferences(taste, random);
  if (random() > 0.08 || restated.join() === attributes.preferred_facets.join()) return [rowFrom];
  const changedAt = timeOfDay(addDays(options.start, drawInteger(random, 1, changesWithinDays)), 3);
  const changed = { ...attributes, preferred_facets: restated };
  return [
    { ...rowFrom, valid_to: changedAt },
    { ...base, attributes: changed, valid_from: changedAt, valid_to: null },
  ];
}

function drawConstraints({ members }: Pick<Household, 'members'>, random: Random): Constraint[] {
  const constraints: Constraint[] = [];
  if (random() < 0.18) constraints.push({ kind: 'allergy', allergen: drawOne(random, allergens) });
  const dietDraw = random();
  if (dietDraw < 0.02) constraints.push({ kind: 'diet', diet: 'vegan' });
  else if (dietDraw < 0.1) constraints.push({ kind: 'diet', diet: 'vegetarian' });
  else if (dietDraw < 0.15) constraints.push({ kind: 'diet', diet: 'pescatarian' });
  else if (dietDraw < 0.23) constraints.push({ kind: 'diet', diet: 'pork_free' });
  if (random() < 0.25) constraints.push({ kind: 'exclude_ingredient', ingredient: drawOne(random, oftenDisliked) });
  constraints.push({ kind: 'max_minutes', days: 'weekday', minutes: drawInteger(random, 6, 16) * 5 });
  if (random() < 0.7) {
    constraints.push({ kind: 'max_minutes', days: 'weekend', minutes: drawInteger(random, 6, 18) * 10 });
  }
  const usdPerServing = 3.8 + 3.2 * random();
  constraints.push({ kind: 'budget', usd_per_day: Math.round(usdPerServing * members.length * 100) / 100 });
  if (random() < 0.6) constraints.push({ kind: 'max_uses', count: 1 });
  return constraints;
}

/** Some budgets change during the run. */
function toConstraintRows(
  household_id: string,
  constraints: readonly Constraint[],
  options: WorldOptions,
  random: Random,
): ConstraintRow[] {
  const budgetChanges = random() < 0.1;
  const changedAt = timeOfDay(addDays(options.start, drawInteger(random, 1, changesWithinDays)), 4);
  return constraints.flatMap((constraint): ConstraintRow[] => {
    const toRow = (value: Constraint) => ({ household_id, kind: value.kind, value: toConstraintText(value) });
    const row = { ...toRow(constraint), valid_from: timeOfDay(options.start, 0), valid_to: null };
    if (!budgetChanges || constraint.kind !== 'budget') return [row];
    const changed = { ...constraint, usd_per_day: Math.round(constraint.usd_per_day * 85) / 100 };
    return [
      { ...row, valid_to: changedAt },
      { ...toRow(changed), valid_from: changedAt, valid_to: null },
    ];
  });
}

/** Shopping early on each planning day; what is still there is not bought again. */
function restock(householdId: string, planningWeekday: number, options: WorldOptions, random: Random): PantryItemRow[] {
  const boughtAtFirst = timeOfDay(options.start, 0);
  const rows = drawSome(random, staples, drawInteger(random, 0, 2)).map((ingredient) =>
    toPantryItemRow(householdId, { ingredient, use_by: null }, boughtAtFirst),
  );
  for (let day = 0; day < options.days; day++) {
    const date = addDays(options.start, day);
    if (weekdayOf(date) !== planningWeekday) continue;
    const boughtAt = timeOfDay(date, 5);
    const there = new Set(
      rows.filter((row) => row.valid_to === null || row.valid_to > boughtAt).map((row) => row.item),
    );
    const missing = perishables.filter((item) => !there.has(item));
    for (const ingredient of drawSome(random, missing, drawInteger(random, 2, 6))) {
      const use_by = addDays(date, drawInteger(random, 2, 9));
      rows.push(toPantryItemRow(householdId, { ingredient, use_by }, boughtAt));
    }
  }
  return rows;
}

export function addDays(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

export function weekdayOf(date: string): number {
  return new Date(`${date}T00:00:00Z`).getUTCDay();
}

function timeOfDay(date: string, hour: number): string {
  return `${date}T${String(hour).padStart(2, '0')}:00:00.000Z`;
}
