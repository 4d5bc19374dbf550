// Reads exp.erasures so that nothing erased before a known time is missed.
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';

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
