// Makes the local API keys valid: one that may do everything, one for producers.
import { hashApiKey } from '#api/authentication.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { LocalAccess } from './local-access.ts';

/** Idempotent; a key of that name made from another secret is replaced. */
export async function ensureLocalKeys(pool: Pool, access: LocalAccess): Promise<void> {
  const keys = [
    ['local-admin', access.adminKey, ['assign', 'ingest', 'admin', 'read']],
    ['local-producer', access.ingestKey, ['assign', 'ingest']],
  ] as const;
  for (const [name, secret, scopes] of keys) {
    await pool.query(
      `INSERT INTO exp.api_keys (name, key_hash, scopes) VALUES ($1, $2, $3)
       ON CONFLICT (name) DO UPDATE SET key_hash = excluded.key_hash, scopes = excluded.scopes, revoked_at = NULL`,
      [name, hashApiKey(secret), scopes],
    );
  }
}
