// API keys of producers and people: made once, stored as a digest, revoked for good.
import { hash, randomBytes } from 'node:crypto';
import { FatalError } from '#platform/errors.ts';
import { inTransaction, type Pool, type PoolClient } from '#platform/postgres/pool.ts';

export const apiKeyScopes = ['assign', 'ingest', 'admin', 'read'] as const;
export type ApiKeyScope = (typeof apiKeyScopes)[number];

export type ApiKeyListing = {
  readonly name: string;
  readonly scopes: readonly ApiKeyScope[];
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
};

/** 32 random bytes: nobody guesses them, so a plain digest is enough. The prefix lets scanners of repositories find leaked keys. */
const createSecret = (): string => `ts_${randomBytes(32).toString('base64url')}`;

const refusal = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });

async function writeAudit(tx: PoolClient, actor: string, action: string, name: string, detail: object): Promise<void> {
  await tx.query('INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES ($1, $2, $3, $4)', [
    actor,
    action,
    `api-key/${name}`,
    JSON.stringify(detail),
  ]);
}

/** Stores a new key and returns its secret, which is nowhere else from then on. @throws FatalError when the name is taken. */
export async function createApiKey(
  pool: Pool,
  key: { readonly name: string; readonly scopes: readonly ApiKeyScope[]; readonly actor: string },
): Promise<string> {
  const { name, actor } = key;
  const scopes = [...new Set(key.scopes)];
  const secret = createSecret();
  await inTransaction(pool, async (tx) => {
    const { rowCount } = await tx.query(
      'INSERT INTO exp.api_keys (name, key_hash, scopes) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING',
      [name, hash('sha256', secret, 'buffer'), scopes],
    );
    if (rowCount !== 1) {
      throw refusal(`a key named ${name} exists already, revoked ones included: names stay, so that logs stay clear`);
    }
    await writeAudit(tx, actor, 'api-key.create', name, { scopes });
  });
  return secret;
}

/** By name; never with anything that a secret could be found from. */
export async function listApiKeys(pool: Pool): Promise<ApiKeyListing[]> {
  const { rows } = await pool.query<{ name: string; scopes: ApiKeyScope[]; created_at: Date; revoked_at: Date | null }>(
    'SELECT name, scopes, created_at, revoked_at FROM exp.api_keys ORDER BY name',
  );
  return rows.map((row) => ({
    name: row.name,
    scopes: row.scopes,
    createdAt: row.created_at,
    revokedAt: row.revoked_at,
  }));
}

/** Services refuse the key within a second. Returns false when it was revoked before. @throws FatalError when there is no such key. */
export async function revokeApiKey(
  pool: Pool,
  key: { readonly name: string; readonly actor: string },
): Promise<boolean> {
  return inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<{ revoked_at: Date | null }>(
      'SELECT revoked_at FROM exp.api_keys WHERE name = $1 FOR UPDATE',
      [key.name],
    );
    const found = rows[0];
    if (found === undefined) throw refusal(`there is no key named ${key.name}`);
    if (found.revoked_at !== null) return false;
    await tx.query('UPDATE exp.api_keys SET revoked_at = now() WHERE name = $1', [key.name]);
    await writeAudit(tx, key.actor, 'api-key.revoke', key.name, {});
    return true;
  });
}
