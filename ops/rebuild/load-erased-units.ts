// Reads exp.erasures for commands that bring events back.
import { createErasedUnits, type ErasedUnits } from '#domain/archive/erased-units.ts';
import { FatalError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';

/** @throws FatalError when units were erased and the key of their hashes is not given: they would come back. */
export async function loadErasedUnits(pool: Pool, key: string | undefined): Promise<ErasedUnits> {
  const found = await pool.query<{ unit_hash: Buffer; pseudonym: string; erased_at: Date }>(
    'SELECT unit_hash, pseudonym, erased_at FROM exp.erasures',
  );
  if (found.rows.length > 0 && key === undefined) {
    throw new FatalError(
      `${found.rows.length} units were erased: set ERASURE_KEY, the key of the hashes in exp.erasures, so that they do not come back`,
      { code: 'config-invalid' },
    );
  }
  const erasures = found.rows.map(({ unit_hash, pseudonym, erased_at }) => ({
    unitHash: unit_hash,
    pseudonym,
    erasedAtMs: erased_at.getTime(),
  }));
  return createErasedUnits(erasures, key ?? '');
}
