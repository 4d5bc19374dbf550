// The error for what a person can put right: its message is the whole story, so commands print it without a stack trace.
export class StackError extends Error {
  override readonly name = 'StackError';
}

/** Prints an error the way a person wants it; the trace only for what nobody expected. */
export function describeError(error: unknown): string {
  if (error instanceof StackError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
