// Writes to Metabase, or only says what it would write; either way each change is noted.
import { FatalError } from '#platform/errors.ts';
import type { MetabaseClient } from '#platform/metabase/metabase-client.ts';

export type Change = {
  readonly action: 'create' | 'update' | 'archive';
  readonly kind: 'user' | 'database' | 'collection' | 'model' | 'card' | 'dashboard';
  readonly name: string;
  /** What differs, for an update. */
  readonly differences: readonly string[];
};

export type Changes = {
  readonly isDryRun: boolean;
  readonly made: readonly Change[];
  readonly unchangedCount: number;
  keep(): void;
  /** Notes the change; `write` runs unless it is a dry run, and its value is given back, else `planned`. */
  make<T>(change: Change, write: () => Promise<T>, planned: T): Promise<T>;
};

export function createChanges({ isDryRun }: { isDryRun: boolean }, onChange: (change: Change) => void): Changes {
  const made: Change[] = [];
  let unchangedCount = 0;
  return {
    isDryRun,
    made,
    get unchangedCount() {
      return unchangedCount;
    },
    keep: () => {
      unchangedCount += 1;
    },
    make: async (change, write, planned) => {
      const value = isDryRun ? planned : await write();
      made.push(change);
      onChange(change);
      return value;
    },
  };
}

/** Stands for the id of something that a dry run did not make. */
export const plannedId = -1;

/** @throws FatalError when Metabase stored something else than it was sent: some versions answer 2xx and drop what they do not know. */
export function verifyStored(what: string, { url }: MetabaseClient, differences: readonly string[]): void {
  if (differences.length > 0)
    throw new FatalError(`${url} took ${what} and stored it otherwise: ${differences.slice(0, 10).join(', ')}`, {
      code: 'unexpected',
    });
}
