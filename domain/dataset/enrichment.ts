// Compares the domain rows joined to a plan with the request snapshot: what differs is recorded, never dropped.
import { toCanonicalJson } from '#domain/planning/canonical-json.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import { fromPantryItemRow, toConstraintText } from '#domain/planning/temporal-rows.ts';

/** The domain rows as of the time of a request. Times are ISO 8601 in UTC, with Z. */
export type Enrichment = {
  readonly household: {
    readonly members: number;
    readonly attributes: Readonly<Record<string, unknown>>;
    readonly valid_from: string;
  } | null;
  readonly pantry: readonly { readonly item: string; readonly valid_from: string; readonly valid_to: string | null }[];
  readonly constraints: readonly { readonly kind: string; readonly value: string; readonly valid_from: string }[];
  /** The recipes on offer that the table has. */
  readonly recipes: readonly { readonly recipe_id: string; readonly title: string; readonly valid_from: string }[];
};

/** One difference: `request` is what the snapshot says, `joined` what the tables say; null where one says nothing. */
export type EnrichmentDifference = { readonly path: string; readonly request: unknown; readonly joined: unknown };

/** Differences in order of path and content; empty when rows and snapshot agree. */
export function findEnrichmentDifferences(request: PlanRequest, enrichment: Enrichment): EnrichmentDifference[] {
  const candidates = new Set(request.slots.flatMap((slot) => slot.candidates));
  const known = new Set(enrichment.recipes.map((recipe) => recipe.recipe_id));
  const differences = [
    ...compareHousehold(request.household, enrichment.household),
    ...compareLists('pantry', request.pantry, enrichment.pantry.map(toPantryItem)),
    // As rows, because the text of a row need not be a constraint.
    ...compareLists(
      'constraints',
      request.constraints.map((constraint) => ({ kind: constraint.kind, value: toConstraintText(constraint) })),
      enrichment.constraints.map(({ kind, value }) => ({ kind, value })),
    ),
    ...[...candidates]
      .filter((recipeId) => !known.has(recipeId))
      .map((recipeId) => ({ path: 'recipes', request: recipeId, joined: null })),
  ];
  return differences
    .map((difference) => ({ difference, text: toCanonicalJson(difference) }))
    .sort((a, b) => compare(a.difference.path, b.difference.path) || compare(a.text, b.text))
    .map(({ difference }) => difference);
}

function toPantryItem(row: Enrichment['pantry'][number]) {
  return fromPantryItemRow({ household_id: '', ...row });
}

function compareHousehold(household: PlanRequest['household'], row: Enrichment['household']): EnrichmentDifference[] {
  if (row === null) return [{ path: 'household', request: household, joined: null }];
  const { household_id: _, ...stated } = household;
  const said: Readonly<Record<string, unknown>> = { ...stated, member_count: household.members.length };
  const stored: Readonly<Record<string, unknown>> = { ...row.attributes, member_count: row.members };
  return [...new Set([...Object.keys(said), ...Object.keys(stored)])]
    .filter((name) => comparable(name, said[name]) !== comparable(name, stored[name]))
    .map((name) => ({ path: `household.${name}`, request: said[name] ?? null, joined: stored[name] ?? null }));
}

/** The order of preferred facets means nothing, and requests sort it. */
function comparable(name: string, value: unknown): string {
  const unordered = name === 'preferred_facets' && Array.isArray(value);
  return toCanonicalJson(unordered ? value.map(toCanonicalJson).sort() : (value ?? null));
}

function compareLists(path: string, said: readonly object[], stored: readonly object[]): EnrichmentDifference[] {
  const saidByText = new Map(said.map((value) => [toCanonicalJson(value), value]));
  const storedByText = new Map(stored.map((value) => [toCanonicalJson(value), value]));
  return [
    ...[...saidByText]
      .filter(([text]) => !storedByText.has(text))
      .map(([, request]) => ({ path, request, joined: null })),
    ...[...storedByText]
      .filter(([text]) => !saidByText.has(text))
      .map(([, joined]) => ({ path, request: null, joined })),
  ];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
