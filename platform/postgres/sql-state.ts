// The errors of Postgres that our code answers to by name.

type ServerError = { readonly code?: unknown; readonly constraint?: unknown };

export function isUniqueViolation(error: unknown): boolean {
  return (error as ServerError | null)?.code === '23505';
}

/** True when no partition takes the row: the code of a check violation, but without the name of a constraint. */
export function isMissingPartition(error: unknown): boolean {
  const { code, constraint } = (error ?? {}) as ServerError;
  return code === '23514' && constraint === undefined;
}
