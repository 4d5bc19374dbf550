// Reads exp.erasures for commands that bring events back.
import { createErasedUnits, type ErasedUnits } from '#domain/archive/erased-units.ts';
import { FatalError } from '#platform/errors.ts';
import { readErasures } from '#platform/postgres/erasures.ts';
import type { Pool } from '#platform/postgres/pool.ts';

/** @throws FatalError when units were erased and the key of their hashes is not given: they would come back. */
export async function loadErasedUnits(pool: Pool, key: string | undefined): Promise<ErasedUnits> {
  const { erasures } = await readErasures(pool);
  if (erasures.length > 0 && key === undefined) {
    throw new FatalError(
      `${erasures.length} units were erased: set ERASURE_KEY, the key of the hashes in exp.erasures, so that they do not come back`,
      { code: 'config-invalid' },
    );
  }
  return createErasedUnits(erasures, key ?? '');
}
