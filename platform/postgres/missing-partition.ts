// Recognizes that a table has no partition for a row: retention has dropped it since it was last seen.

/** True for the error of an insert that no partition takes; other check violations name their constraint. */
export function isMissingPartition(error: unknown): boolean {
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  return code === '23514' && constraint === undefined;
}
