// Reads exp.erasures so that nothing erased before a known time is missed.
import { FatalError } from '#platform/errors.ts';
import { inTransaction, type Pool, type PoolClient } from '#platform/postgres/pool.ts';

export type StoredErasure = { readonly unitHash: Buffer; readonly pseudonym: string; readonly erasedAtMs: number };

export type StoredErasures = {
  /** Every erasure before this time is among them. */
  readonly readAt: Date;
  readonly erasures: readonly StoredErasure[];
};

export async function readErasures(pool: Pool): Promise<StoredErasures> {
  return inTransaction(pool, async (tx) => {
    // An erasure holds this lock alone until its commit: those that began before the clock is read are visible after it.
    await tx.query('SELECT exp.share_erasure_lock()');
    const clock = await tx.query<{ read_at: Date }>('SELECT clock_timestamp() AS read_at');
    const found = await tx.query<{ unit_hash: Buffer; pseudonym: string; erased_at: Date }>(
      'SELECT unit_hash, pseudonym, erased_at FROM exp.erasures',
    );
    return {
      readAt: clock.rows[0]!.read_at,
      erasures: found.rows.map(({ unit_hash, pseudonym, erased_at }) => ({
        unitHash: unit_hash,
        pseudonym,
        erasedAtMs: erased_at.getTime(),
      })),
    };
  });
}

/**
 * Makes sure that the key with this fingerprint is the one of this database, which the first caller ever decides. With another key
 * the hashes of erased units fit nobody. @throws FatalError when it is another one.
 */
export async function requireErasureKey(connection: Pick<PoolClient, 'query'>, fingerprint: Buffer): Promise<void> {
  const { rows } = await connection.query<{ same: boolean }>('SELECT exp.claim_erasure_key($1) AS same', [fingerprint]);
  if (rows[0]?.same === true) return;
  throw new FatalError('ERASURE_KEY is not the key that this database was used with: erased units would come back', {
    code: 'config-invalid',
  });
}
