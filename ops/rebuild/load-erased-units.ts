// Reads exp.erasures for commands that bring events back.
import { createErasedUnits, type ErasedUnits } from '#domain/archive/erased-units.ts';
import { erasureKeyFingerprint } from '#domain/erasure/pseudonymize-event.ts';
import { FatalError } from '#platform/errors.ts';
import { readErasures, requireErasureKey } from '#platform/postgres/erasures.ts';
import type { Pool } from '#platform/postgres/pool.ts';

/** @throws FatalError when units were erased and the key of their hashes is missing or another one: they would come back. */
export async function loadErasedUnits(pool: Pool, key: string | undefined): Promise<ErasedUnits> {
  const { erasures } = await readErasures(pool);
  if (erasures.length > 0 && key === undefined) {
    throw new FatalError(
      `${erasures.length} units were erased: set ERASURE_KEY, the key of the hashes in exp.erasures, so that they do not come back`,
      { code: 'config-invalid' },
    );
  }
  // Without erasures there is nothing to compare with, and asking would make this key the database's own.
  if (erasures.length > 0 && key !== undefined) await requireErasureKey(pool, erasureKeyFingerprint(key));
  return createErasedUnits(erasures, key ?? '');
}
