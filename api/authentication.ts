// API keys of the HTTP services: who calls, and which scopes that key has; checked from memory, so it works when Postgres is away.
import { hash } from 'node:crypto';
import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import { describeError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export const apiKeyScopes = ['assign', 'ingest', 'admin', 'read'] as const;
export type ApiKeyScope = (typeof apiKeyScopes)[number];

export type ApiKey = { readonly name: string; readonly scopes: ReadonlySet<ApiKeyScope> };

export type ApiKeyStore = {
  /** Loads all keys and keeps them fresh until disposed. Rejects when the first load fails. */
  start(): Promise<void>;
  /** The key with this secret, or null. Revoked keys disappear within one refresh. */
  find(secret: string): ApiKey | null;
  /** Reads the keys again now. */
  refresh(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** What is stored of a key. The keys are random and long, so a plain SHA-256 is enough: there is nothing to guess. */
export function hashApiKey(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

type ApiKeyRow = { name: string; key_hash: Buffer; scopes: ApiKeyScope[] };

/**
 * Keys in memory. States: empty until `start`; then fresh, or stale while Postgres is away (the last keys stay valid, and a
 * revocation takes effect when Postgres is back).
 */
export function createApiKeyStore(options: { pool: Pool; log: Logger; refreshIntervalMs?: number }): ApiKeyStore {
  const { pool, log } = options;
  const refreshIntervalMs = options.refreshIntervalMs ?? 1_000;
  let byHash = new Map<string, ApiKey>();
  /** Keys by their secret, of callers since the last load: a busy caller's key is hashed once a second and not once a request. */
  let bySecret = new Map<string, ApiKey>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let stale = false;
  let stopped = false;

  const load = async (): Promise<void> => {
    const { rows } = await pool.query<ApiKeyRow>(
      'SELECT name, key_hash, scopes FROM exp.api_keys WHERE revoked_at IS NULL',
    );
    byHash = new Map(
      rows.map((row) => [row.key_hash.toString('base64'), { name: row.name, scopes: new Set(row.scopes) }]),
    );
    bySecret = new Map();
  };
  const refresh = (): Promise<void> => {
    // Never shares a load that has begun: its snapshot may be older than what the caller has just written.
    running = (running ?? Promise.resolve()).catch(() => undefined).then(load);
    return running;
  };
  const refreshForever = async (): Promise<void> => {
    try {
      await refresh();
      if (stale) log.info('API keys are fresh again');
      stale = false;
    } catch (error) {
      if (!stale)
        log.warn({ cause: describeError(error) }, 'API keys cannot be refreshed; the last known ones stay valid');
      stale = true;
    }
    schedule();
  };
  const schedule = (): void => {
    if (!stopped) timer = setTimeout(() => void refreshForever(), refreshIntervalMs).unref();
  };

  return {
    start: async () => {
      await refresh();
      schedule();
    },
    find: (secret) => {
      const known = bySecret.get(secret);
      if (known !== undefined) return known;
      // By digest: its timing says nothing about the secrets of others, because nobody can choose a digest's bytes.
      const found = byHash.get(hash('sha256', secret, 'base64')) ?? null;
      if (found !== null) bySecret.set(secret, found);
      return found;
    },
    refresh,
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      clearTimeout(timer);
      await running?.catch(() => undefined);
    },
  };
}

/** On the request itself: every request has one, and a table beside it would cost more than everything else of the check. */
const callerOf = Symbol('caller');
type CheckedRequest = FastifyRequest & { [callerOf]?: ApiKey };

/** The key that made this request, or null for a request that no `requireScope` has let pass. */
export function findCaller(request: FastifyRequest): ApiKey | null {
  return (request as CheckedRequest)[callerOf] ?? null;
}

/** The key that made this request; only after `requireScope` let it pass. */
export function getCaller(request: FastifyRequest): ApiKey {
  const caller = findCaller(request);
  if (caller === null) throw new Error('this route does not require a scope, so its caller is unknown');
  return caller;
}

const bearer = /^Bearer +([\x21-\x7e]{1,512}) *$/i;

/**
 * An `onRequest` hook that lets a request pass when its key has at least one of the scopes: 401 without a known key, 403 without
 * the scope. Scopes do not imply each other. It runs before the body is read.
 */
export function requireScope(
  keys: Pick<ApiKeyStore, 'find'>,
  ...scopes: [ApiKeyScope, ...ApiKeyScope[]]
): onRequestHookHandler {
  return function checkScope(request, reply, done) {
    const secret = bearer.exec(request.headers.authorization ?? '')?.[1];
    const caller = secret === undefined ? null : keys.find(secret);
    if (caller === null) {
      reply.code(401).header('www-authenticate', 'Bearer').send({
        code: 'unauthenticated',
        message: 'send a valid API key in the header "Authorization: Bearer <key>"',
      });
      return;
    }
    if (!scopes.some((scope) => caller.scopes.has(scope))) {
      reply.code(403).send({ code: 'forbidden', message: `this key lacks the scope ${scopes.join(' or ')}` });
      return;
    }
    (request as CheckedRequest)[callerOf] = caller;
    done();
  };
}
