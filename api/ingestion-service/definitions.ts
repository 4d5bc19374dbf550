// Which experiments and variants exist, in memory: polled, told of changes by Postgres and the topic, and asked again for an unknown id.
import { describeError } from '#platform/errors.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export type ExperimentRef = { readonly experiment_id: string; readonly variant_id: string };
export type RefCheck = 'known' | 'unknown-experiment' | 'unknown-variant';

/** The port that the route needs. */
export type Definitions = {
  check(ref: ExperimentRef): RefCheck;
  /**
   * Resolves true once definitions read after this call are in memory, false when they cannot be read now. Calls share reads, and
   * reads are no closer together than the refresh spacing.
   */
  refreshSince(): Promise<boolean>;
  isFresh(): boolean;
};

export type DefinitionStore = Definitions & {
  /** Loads all definitions and keeps them fresh until disposed. Rejects when the first load fails. */
  start(): Promise<void>;
  /** Takes over what the topic says: known at once, also while Postgres is away. Variants are only ever added to an experiment. */
  add(experimentId: string, variantIds: readonly string[]): void;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Writers of definitions send a notification on this channel; the poll makes up for a lost one. */
export const definitionsChannel = 'exp_definitions';

type Row = { experiment_id: string; variant_id: string | null };

const loadSql =
  'SELECT x.id::text AS experiment_id, v.id::text AS variant_id FROM exp.experiments x LEFT JOIN exp.variants v ON v.experiment_id = x.id';

/**
 * States: empty until `start`; fresh while reads succeed; stale while Postgres is away (the last definitions stay in use). A read
 * that began before a call may have missed what that caller saw committed, so such a call waits for the next read.
 */
export function createDefinitionStore(options: {
  pool: Pool;
  log: Logger;
  pollIntervalMs?: number;
  refreshSpacingMs?: number;
}): DefinitionStore {
  const { pool, log } = options;
  const pollIntervalMs = options.pollIntervalMs ?? 1_000;
  const refreshSpacingMs = options.refreshSpacingMs ?? 200;
  let variantsByExperiment = new Map<string, Set<string>>();
  let fresh = false;
  let stopped = false;
  let lastReadAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<boolean> | undefined;
  let next: Promise<boolean> | undefined;
  let pollTimer: NodeJS.Timeout | undefined;
  let listener: PoolClient | undefined;

  const read = async (): Promise<void> => {
    lastReadAt = performance.now();
    const { rows } = await pool.query<Row>(loadSql);
    const loaded = new Map<string, Set<string>>();
    for (const { experiment_id, variant_id } of rows) {
      const variants = loaded.get(experiment_id) ?? new Set();
      if (variant_id !== null) variants.add(variant_id);
      loaded.set(experiment_id, variants);
    }
    variantsByExperiment = loaded;
  };
  const readSafely = async (): Promise<boolean> => {
    try {
      await read();
      if (!fresh) log.info('definitions are fresh');
      fresh = true;
    } catch (error) {
      if (fresh)
        log.warn({ cause: describeError(error) }, 'definitions cannot be read; the last known ones stay in use');
      fresh = false;
    }
    return fresh;
  };
  /** At most one read runs and one waits; whoever calls now is served by the one that has not begun. */
  const refreshSince = (): Promise<boolean> => {
    next ??= (async () => {
      await reading;
      const pause = lastReadAt + refreshSpacingMs - performance.now();
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      next = undefined;
      reading = readSafely();
      return reading;
    })();
    return next;
  };

  const dropListener = (): void => {
    const broken = listener;
    listener = undefined;
    broken?.release(true);
  };
  const listen = async (): Promise<void> => {
    if (listener !== undefined || stopped) return;
    const client = await pool.connect();
    client.on('notification', () => void refreshSince());
    client.on('error', dropListener);
    listener = client;
    await client.query(`LISTEN ${definitionsChannel}`);
  };
  const poll = async (): Promise<void> => {
    await refreshSince();
    if (fresh) await listen().catch(dropListener);
    if (!stopped) pollTimer = setTimeout(() => void poll(), pollIntervalMs).unref();
  };

  return {
    start: async () => {
      await read();
      fresh = true;
      await listen();
      pollTimer = setTimeout(() => void poll(), pollIntervalMs).unref();
    },
    add: (experimentId, variantIds) => {
      const known = variantsByExperiment.get(experimentId);
      variantsByExperiment.set(experimentId, new Set([...(known ?? []), ...variantIds]));
    },
    check: (ref) => {
      const variants = variantsByExperiment.get(ref.experiment_id);
      if (variants === undefined) return 'unknown-experiment';
      return variants.has(ref.variant_id) ? 'known' : 'unknown-variant';
    },
    refreshSince,
    isFresh: () => fresh,
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      clearTimeout(pollTimer);
      await next?.catch(() => undefined);
      await reading?.catch(() => undefined);
      dropListener();
    },
  };
}
