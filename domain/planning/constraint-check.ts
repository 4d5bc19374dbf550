// Checks a plan against its request: which recipe breaks which constraint, and what a whole plan leaves undone.

import type { Catalogue, CatalogueRecipe } from './catalogue.ts';
import type { Allergen } from './ingredient-lexicon.ts';
import type { Plan, PlanSlot } from './plan-shape.ts';
import type { Diet } from './recipe-shape.ts';
import type { Constraint, PlanRequest, RequestSlot } from './request-shape.ts';

/** Hard: the plan must not be served like that. Soft: it can be, but another plan would be better. */
export type Severity = 'hard' | 'soft';

/**
 * One broken rule. `certainty` is `possible` where the recipe does not say enough to rule the harm out: for allergies,
 * diets and excluded ingredients what is unknown counts as broken, for time it does not.
 */
export type Violation = { readonly severity: Severity; readonly slot_id: string | null } & (
  | { readonly kind: 'missing_slot' | 'unrequested_slot' | 'repeated_slot' }
  | { readonly kind: 'unknown_recipe' | 'not_a_candidate'; readonly recipe_id: string }
  | { readonly kind: 'allergy'; readonly recipe_id: string; readonly allergen: Allergen; readonly certainty: Certainty }
  | { readonly kind: 'diet'; readonly recipe_id: string; readonly diet: Diet; readonly certainty: Certainty }
  | {
      readonly kind: 'excluded_ingredient';
      readonly recipe_id: string;
      readonly ingredient: string;
      readonly certainty: Certainty;
    }
  | { readonly kind: 'time'; readonly recipe_id: string; readonly minutes: number; readonly allowed_minutes: number }
  | { readonly kind: 'servings'; readonly servings: number; readonly needed_servings: number }
  | { readonly kind: 'budget'; readonly cost_usd: number; readonly allowed_usd: number }
  | { readonly kind: 'repetition'; readonly recipe_id: string; readonly uses: number; readonly allowed_uses: number }
  | { readonly kind: 'pantry'; readonly ingredient: string; readonly use_by: string }
);
export type Certainty = 'certain' | 'possible';
export type ViolationKind = Violation['kind'];

export type ConstraintCheck = {
  readonly violations: readonly Violation[];
  /** How many hard rules were looked at; the denominator of constraint_respect_score. Always at least 1. */
  readonly hardRules: number;
};

/** True for Saturday and Sunday; the date is a calendar date, so no time zone enters. */
export function isWeekend(date: string): boolean {
  const day = new Date(`${date}T00:00:00Z`).getUTCDay();
  return day === 0 || day === 6;
}

/**
 * The rules about a recipe in this slot: allergies, diets, excluded ingredients, minutes. All of them are hard. What
 * depends on the slot alone is worked out here, once, because a slot is checked with many recipes.
 */
export function createRecipeCheck(
  slot: Pick<RequestSlot, 'slot_id' | 'date'>,
  constraints: readonly Constraint[],
): (candidate: CatalogueRecipe) => Violation[] {
  const days = isWeekend(slot.date) ? 'weekend' : 'weekday';
  const rules = constraints.filter((rule) => rule.kind !== 'max_minutes' || rule.days === days);
  return (candidate) => rules.flatMap((rule) => checkRecipeRule(candidate, slot.slot_id, rule) ?? []);
}

function checkRecipeRule({ recipe }: CatalogueRecipe, slot_id: string, constraint: Constraint): Violation | null {
  const about = { severity: 'hard', slot_id, recipe_id: recipe.recipe_id } as const;
  switch (constraint.kind) {
    case 'allergy': {
      const state = recipe.allergens[constraint.allergen];
      if (state === 'free') return null;
      return { ...about, kind: 'allergy', allergen: constraint.allergen, certainty: certaintyOf(state === 'contains') };
    }
    case 'diet': {
      const state = recipe.diets[constraint.diet];
      if (state === 'yes') return null;
      return { ...about, kind: 'diet', diet: constraint.diet, certainty: certaintyOf(state === 'no') };
    }
    case 'exclude_ingredient': {
      const { ingredient } = constraint;
      const named = recipe.ingredients.includes(ingredient);
      if (!named && recipe.unread_lines === 0) return null;
      return { ...about, kind: 'excluded_ingredient', ingredient, certainty: certaintyOf(named) };
    }
    case 'max_minutes': {
      if (recipe.minutes_at_least <= constraint.minutes) return null;
      return { ...about, kind: 'time', minutes: recipe.minutes_at_least, allowed_minutes: constraint.minutes };
    }
    case 'budget':
    case 'max_uses':
      return null;
  }
}

/** Cost model: cost per serving × servings, without the share of the distinct ingredients that the pantry already has. */
export function slotCostUsd({ recipe }: CatalogueRecipe, servings: number, pantry: ReadonlySet<string>): number {
  const inPantry = recipe.ingredients.filter((ingredient) => pantry.has(ingredient)).length;
  const bought = recipe.ingredients.length === 0 ? 1 : 1 - inPantry / recipe.ingredients.length;
  return Math.round(recipe.cost_per_serving_usd * servings * bought * 100) / 100;
}

/** What the budget allows for the days of this request; null when the household has set none. */
export function allowedCostUsd(request: Pick<PlanRequest, 'constraints' | 'slots'>): number | null {
  const budget = request.constraints.find((constraint) => constraint.kind === 'budget');
  if (!budget) return null;
  const days = new Set(request.slots.map((slot) => slot.date)).size;
  return Math.round(budget.usd_per_day * days * 100) / 100;
}

export function pantryOf(request: Pick<PlanRequest, 'pantry'>): ReadonlySet<string> {
  return new Set(request.pantry.map((item) => item.ingredient));
}

/** Estimated cost of a plan in US dollars; recipes that the catalogue does not have cost nothing here. */
export function planCostUsd(plan: Plan, request: PlanRequest, catalogue: Catalogue): number {
  const pantry = pantryOf(request);
  const cents = plan.slots.map((slot) => {
    const entry = catalogue.findRecipe(slot.recipe_id);
    return entry ? Math.round(slotCostUsd(entry, slot.servings, pantry) * 100) : 0;
  });
  return cents.reduce((sum, cost) => sum + cost, 0) / 100;
}

/** Checks a whole plan. Never throws for a plan of the right shape, whatever ids it names. */
export function checkPlan(plan: Plan, request: PlanRequest, catalogue: Catalogue): ConstraintCheck {
  const recipeRules = request.constraints.filter((c) => c.kind !== 'budget' && c.kind !== 'max_uses').length;
  const allowedUsd = allowedCostUsd(request);
  const violations = [
    ...checkSlots(plan, request, catalogue),
    ...checkBudget(plan, request, catalogue, allowedUsd),
    ...checkRepetition(plan, request),
    ...unusedPantryItems(plan, request, catalogue),
  ];
  // For every requested slot: that it is filled once, by a known recipe, for enough people; and each rule about its recipe.
  const hardRules = request.slots.length * (3 + recipeRules) + (allowedUsd === null ? 0 : 1);
  return { violations, hardRules };
}

function checkSlots(plan: Plan, request: PlanRequest, catalogue: Catalogue): Violation[] {
  const requested = new Map(request.slots.map((slot) => [slot.slot_id, slot]));
  const filled = new Set<string>();
  const violations: Violation[] = [];
  for (const planned of plan.slots) {
    const slot = requested.get(planned.slot_id);
    const repeated = filled.has(planned.slot_id);
    filled.add(planned.slot_id);
    if (!slot) violations.push({ kind: 'unrequested_slot', severity: 'soft', slot_id: planned.slot_id });
    else if (repeated) violations.push({ kind: 'repeated_slot', severity: 'hard', slot_id: planned.slot_id });
    else violations.push(...checkPlannedSlot(planned, slot, request, catalogue));
  }
  for (const slot of request.slots) {
    if (!filled.has(slot.slot_id)) violations.push({ kind: 'missing_slot', severity: 'hard', slot_id: slot.slot_id });
  }
  return violations;
}

function checkPlannedSlot(
  planned: PlanSlot,
  slot: RequestSlot,
  request: PlanRequest,
  catalogue: Catalogue,
): Violation[] {
  const { slot_id, servings: needed_servings } = slot;
  const { recipe_id, servings } = planned;
  const entry = catalogue.findRecipe(recipe_id);
  if (!entry) return [{ kind: 'unknown_recipe', severity: 'hard', slot_id, recipe_id }];
  const violations = createRecipeCheck(slot, request.constraints)(entry);
  if (servings < needed_servings) {
    violations.push({ kind: 'servings', severity: 'hard', slot_id, servings, needed_servings });
  }
  if (!slot.candidates.includes(recipe_id)) {
    violations.push({ kind: 'not_a_candidate', severity: 'soft', slot_id, recipe_id });
  }
  return violations;
}

function checkBudget(plan: Plan, request: PlanRequest, catalogue: Catalogue, allowed_usd: number | null): Violation[] {
  const cost_usd = planCostUsd(plan, request, catalogue);
  if (allowed_usd === null || cost_usd <= allowed_usd) return [];
  return [{ kind: 'budget', severity: 'hard', slot_id: null, cost_usd, allowed_usd }];
}

function checkRepetition(plan: Plan, request: PlanRequest): Violation[] {
  const rule = request.constraints.find((constraint) => constraint.kind === 'max_uses');
  if (!rule) return [];
  const uses = Map.groupBy(plan.slots, (slot) => slot.recipe_id);
  return [...uses].flatMap(([recipe_id, slots]): Violation[] =>
    slots.length <= rule.count
      ? []
      : [
          {
            kind: 'repetition',
            severity: 'soft',
            slot_id: slots.at(-1)?.slot_id ?? null,
            recipe_id,
            uses: slots.length,
            allowed_uses: rule.count,
          },
        ],
  );
}

/** Pantry items whose last day lies within the days of the request and that no slot up to that day uses. */
function unusedPantryItems(plan: Plan, request: PlanRequest, catalogue: Catalogue): Violation[] {
  return listDuePantryItems(request)
    .filter(({ ingredient, use_by }) => !usesIngredient(plan, ingredient, use_by, catalogue))
    .map(({ ingredient, use_by }) => ({ kind: 'pantry', severity: 'soft', slot_id: null, ingredient, use_by }));
}

/** Pantry items that this plan is the last chance for: `use_by` between its first and its last day, both included. */
export function listDuePantryItems(request: PlanRequest): { ingredient: string; use_by: string }[] {
  const dates = request.slots.map((slot) => slot.date).sort();
  const [first = '', last = ''] = [dates[0], dates.at(-1)];
  return request.pantry.flatMap(({ ingredient, use_by }) =>
    use_by !== null && use_by >= first && use_by <= last ? [{ ingredient, use_by }] : [],
  );
}

export function usesIngredient(plan: Plan, ingredient: string, until: string, catalogue: Catalogue): boolean {
  return plan.slots.some(
    (slot) =>
      slot.date <= until && catalogue.findRecipe(slot.recipe_id)?.recipe.ingredients.includes(ingredient) === true,
  );
}

function certaintyOf(isCertain: boolean): Certainty {
  return isCertain ? 'certain' : 'possible';
}
