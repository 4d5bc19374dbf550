// Rows of the planner's temporal tables in schema exp, and the way back from rows to the parts of a planning request.

import type { Recipe } from './recipe-shape.ts';
import type { Constraint, Household, PantryItem } from './request-shape.ts';

/** A row holds for times in [valid_from, valid_to); null means until further notice. ISO 8601 in UTC, with Z. */
type Validity = { readonly valid_from: string; readonly valid_to: string | null };

export type HouseholdRow = Validity & {
  readonly household_id: string;
  readonly members: number;
  readonly attributes: Omit<Household, 'household_id'>;
};
/** A perishable item leaves the pantry at the end of its last day: `valid_to` is the midnight after `use_by`. */
export type PantryItemRow = Validity & { readonly household_id: string; readonly item: string };
/** `value` holds everything but the kind, as text: see `toConstraintText`. */
export type ConstraintRow = Validity & {
  readonly household_id: string;
  readonly kind: Constraint['kind'];
  readonly value: string;
};
export type RecipeRow = Validity & { readonly recipe_id: string; readonly title: string; readonly details: Recipe };

export type DomainRows = {
  readonly households: readonly HouseholdRow[];
  readonly pantryItems: readonly PantryItemRow[];
  readonly constraints: readonly ConstraintRow[];
  readonly recipes: readonly RecipeRow[];
};

const dayMs = 86_400_000;

/** True when the row holds at the time. */
export function isValidAt(row: Validity, time: string): boolean {
  return row.valid_from <= time && (row.valid_to === null || time < row.valid_to);
}

export function fromHouseholdRow(row: HouseholdRow): Household {
  return { household_id: row.household_id, ...row.attributes };
}

export function toPantryItemRow(householdId: string, item: PantryItem, boughtAt: string): PantryItemRow {
  return {
    household_id: householdId,
    item: item.ingredient,
    valid_from: boughtAt,
    valid_to: item.use_by === null ? null : new Date(Date.parse(`${item.use_by}T00:00:00Z`) + dayMs).toISOString(),
  };
}

export function fromPantryItemRow(row: PantryItemRow): PantryItem {
  return {
    ingredient: row.item,
    use_by: row.valid_to === null ? null : new Date(Date.parse(row.valid_to) - dayMs).toISOString().slice(0, 10),
  };
}

/** One word for allergies, diets and ingredients, a number for counts and money, `weekday:30` for minutes. */
export function toConstraintText(constraint: Constraint): string {
  switch (constraint.kind) {
    case 'allergy':
      return constraint.allergen;
    case 'diet':
      return constraint.diet;
    case 'exclude_ingredient':
      return constraint.ingredient;
    case 'max_minutes':
      return `${constraint.days}:${constraint.minutes}`;
    case 'budget':
      return String(constraint.usd_per_day);
    case 'max_uses':
      return String(constraint.count);
  }
}

/** The inverse of `toConstraintText`; the caller checks the result against the request's shape. */
export function fromConstraintRow(row: Pick<ConstraintRow, 'kind' | 'value'>): Constraint {
  const { kind, value } = row;
  switch (kind) {
    case 'allergy':
      return { kind, allergen: value } as Constraint;
    case 'diet':
      return { kind, diet: value } as Constraint;
    case 'exclude_ingredient':
      return { kind, ingredient: value };
    case 'max_minutes': {
      const [days, minutes] = value.split(':');
      return { kind, days, minutes: Number(minutes) } as Constraint;
    }
    case 'budget':
      return { kind, usd_per_day: Number(value) };
    case 'max_uses':
      return { kind, count: Number(value) };
  }
}
