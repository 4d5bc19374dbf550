// All definitions in memory, ready to evaluate, and fresh: told by Postgres at once, checked every second, and by the topic while it is away.
import { type CompiledExperiment, compileExperiment } from '#domain/experiment/compile-experiment.ts';
import { type Experiment, isAnsweredUnasked } from '#domain/experiment/experiment.ts';
import { holdsLayerRange } from '#domain/experiment/validate-experiment.ts';
import { describeError } from '#platform/errors.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import { listDefinitions, type StoredDefinition, selectCurrentIteration } from './definition-rows.ts';
import { definitionsChannel } from './save-experiment.ts';

export type LiveExperiment = { readonly experiment: Experiment; readonly compiled: CompiledExperiment };

/** One consistent state of all definitions; a change replaces it as a whole. */
export type DefinitionIndex = {
  readonly byId: ReadonlyMap<string, LiveExperiment>;
  /** The current iteration of each key. */
  readonly byKey: ReadonlyMap<string, LiveExperiment>;
  /** Current iterations that are answered to callers who name no experiments, by unit type. */
  readonly unaskedByUnitType: ReadonlyMap<string, readonly LiveExperiment[]>;
  /** Iterations that hold a range of a layer now, by layer. */
  readonly byLayer: ReadonlyMap<string, readonly LiveExperiment[]>;
  readonly unitTypes: ReadonlySet<string>;
};

const lookSpacingMs = 200;

export type LiveDefinitions = {
  /** Loads everything, and keeps it fresh until disposed. Rejects when the first load fails. */
  start(): Promise<void>;
  /** Empty before the first load. */
  current(): DefinitionIndex;
  /** Resolves when everything committed before this call is in memory. */
  refresh(): Promise<void>;
  /** As `refresh`, for questions that callers can ask as often as they like: calls share reads, no closer together than 200 ms. */
  lookAgain(): Promise<void>;
  /**
   * Takes over what the topic says when it is newer than what is in memory. Postgres has the last word: it is looked at again, and
   * while it is away the topic's word holds.
   */
  take(definition: StoredDefinition): void;
  /** Whether the last look at Postgres succeeded, and how long ago the last good one was. */
  state(): { isFresh: boolean; ageSeconds: number };
  [Symbol.asyncDispose](): Promise<void>;
};

export function createDefinitionIndex(
  definitions: readonly StoredDefinition[],
  compile: (experiment: Experiment) => CompiledExperiment | null,
): DefinitionIndex {
  const byId = new Map<string, LiveExperiment>();
  const iterationsByKey = new Map<string, Experiment[]>();
  for (const { experiment } of definitions) {
    const compiled = compile(experiment);
    if (compiled === null) continue;
    byId.set(experiment.experimentId, { experiment, compiled });
    iterationsByKey.set(experiment.experimentKey, [
      ...(iterationsByKey.get(experiment.experimentKey) ?? []),
      experiment,
    ]);
  }
  const byKey = new Map<string, LiveExperiment>();
  const unasked: LiveExperiment[] = [];
  for (const [key, iterations] of iterationsByKey) {
    const current = selectCurrentIteration(iterations);
    const live = current === null ? undefined : byId.get(current.experimentId);
    if (live === undefined) continue;
    byKey.set(key, live);
    if (isAnsweredUnasked(live.experiment)) unasked.push(live);
  }
  return {
    byId,
    byKey,
    unaskedByUnitType: Map.groupBy(unasked, ({ experiment }) => experiment.unitType),
    byLayer: Map.groupBy(
      [...byId.values()].filter(({ experiment }) => holdsLayerRange(experiment)),
      ({ experiment }) => experiment.layer?.layerId ?? '',
    ),
    unitTypes: new Set(definitions.map(({ experiment }) => experiment.unitType)),
  };
}

/**
 * States: *empty* until `start`; *fresh* while the last look at Postgres succeeded; *stale* while Postgres is away, with the last
 * definitions, and newer ones from the topic, still served. The notification makes a change known within milliseconds; the look
 * every `pollIntervalMs` covers lost notifications and reconnects. `pool` lends one connection for listening.
 */
export function createLiveDefinitions(options: {
  pool: Pool;
  log: Logger;
  pollIntervalMs?: number;
  onChange?: (index: DefinitionIndex) => void;
}): LiveDefinitions {
  const { pool, log } = options;
  const pollIntervalMs = options.pollIntervalMs ?? 1_000;
  let definitions: readonly StoredDefinition[] = [];
  let index = createDefinitionIndex([], compileExperiment);
  let fingerprint = '';
  /** How many definitions the topic has told before Postgres. */
  let takenCount = 0;
  let isFresh = false;
  let freshAtMs = 0;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let listener: PoolClient | undefined;
  let loading: Promise<void> = Promise.resolve();
  let keeping: Promise<void> = Promise.resolve();

  /** A row that no service wrote must not keep the others from being served. */
  const tryToCompile = (experiment: Experiment): CompiledExperiment | null => {
    try {
      return compileExperiment(experiment);
    } catch (error) {
      log.error(
        { experimentKey: experiment.experimentKey, cause: describeError(error) },
        'a stored definition is invalid and is not served',
      );
      return null;
    }
  };

  const put = (next: readonly StoredDefinition[]): void => {
    const previous = index;
    definitions = next;
    index = createDefinitionIndex(next, (experiment) => {
      const known = previous.byId.get(experiment.experimentId);
      const isSame = known !== undefined && known.experiment.version === experiment.version;
      return isSame ? known.compiled : tryToCompile(experiment);
    });
    options.onChange?.(index);
  };

  const load = async (): Promise<void> => {
    // Read before the definitions: a change in between makes the next look load again, and never hides one.
    const seen = await pool.query<{ fingerprint: string }>(
      "SELECT concat_ws(' ', count(*), sum(version), max(updated_at)) AS fingerprint FROM exp.experiments",
    );
    const next = seen.rows[0]?.fingerprint ?? '';
    if (next !== fingerprint || freshAtMs === 0) {
      let stored: readonly StoredDefinition[];
      let takenBefore: number;
      do {
        takenBefore = takenCount;
        stored = await listDefinitions(pool);
        // What the topic told meanwhile this read may not see; the next one does.
      } while (takenCount !== takenBefore);
      put(stored);
      fingerprint = next;
    }
    if (!isFresh && freshAtMs > 0) log.info('definitions are fresh again');
    isFresh = true;
    freshAtMs = Date.now();
  };
  const refresh = (): Promise<void> => {
    // Never shares a load that has begun: its snapshot may be older than what the caller has just written.
    loading = loading.catch(() => undefined).then(load);
    return loading;
  };
  let nextLook: Promise<void> | undefined;
  let lastLookAtMs = Number.NEGATIVE_INFINITY;
  const lookAgain = (): Promise<void> => {
    const pauseMs = Math.max(0, lastLookAtMs + lookSpacingMs - performance.now());
    nextLook ??= new Promise<void>((resolve) => setTimeout(resolve, pauseMs)).then(() => {
      // From here on a caller may have missed what this read does not see: it waits for the next one.
      nextLook = undefined;
      lastLookAtMs = performance.now();
      return refresh();
    });
    return nextLook;
  };
  const follow = async (): Promise<void> => {
    try {
      await refresh();
    } catch (error) {
      if (isFresh)
        log.warn({ cause: describeError(error) }, 'definitions cannot be refreshed; the last known ones are served');
      isFresh = false;
    }
  };

  const listen = async (): Promise<void> => {
    const client = await pool.connect();
    let isReleased = false;
    const release = (error: Error): void => {
      if (isReleased) return;
      isReleased = true;
      if (listener === client) listener = undefined;
      client.release(error);
    };
    // The pool does not watch connections that it has lent: without this, a lost one would end the process.
    client.on('error', release);
    client.on('notification', () => void follow());
    try {
      await client.query(`LISTEN ${definitionsChannel}`);
      listener = client;
    } catch (error) {
      release(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  };
  const keepFresh = async (): Promise<void> => {
    if (listener === undefined) await listen().catch(() => undefined);
    await follow();
    schedule();
  };
  const schedule = (): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      keeping = keepFresh();
    }, pollIntervalMs).unref();
  };

  return {
    start: async () => {
      await listen();
      await refresh();
      schedule();
    },
    current: () => index,
    refresh,
    lookAgain,
    take: (definition) => {
      const { experimentId, version } = definition.experiment;
      const isSame = (other: StoredDefinition): boolean => other.experiment.experimentId === experimentId;
      const known = definitions.find(isSame);
      if (known !== undefined && known.experiment.version >= version) return;
      takenCount += 1;
      fingerprint = '';
      put(
        known === undefined
          ? [...definitions, definition]
          : definitions.map((other) => (isSame(other) ? definition : other)),
      );
      void follow();
    },
    state: () => ({
      isFresh,
      ageSeconds: freshAtMs === 0 ? Number.POSITIVE_INFINITY : (Date.now() - freshAtMs) / 1_000,
    }),
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      clearTimeout(timer);
      await keeping;
      await loading.catch(() => undefined);
      listener?.removeAllListeners('notification');
      listener?.release(true);
      listener = undefined;
    },
  };
}
