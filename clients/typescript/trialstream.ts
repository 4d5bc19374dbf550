// The client: decisions, here or by the service, and exposures.
import { followDefinitions } from './definition-source.ts';
import { createExposures } from './exposures.ts';
import { createLocalEvaluation, toDecision } from './local-evaluation.ts';
import { askRemotely } from './remote-assignments.ts';
import { fillIn } from './settings.ts';
import type { Client, ClientOptions, Decision, ExperimentParams, Unit } from './types.ts';

export { createLocalStorageStore, createMemoryStore } from './sticky-store.ts';
export type * from './types.ts';

/** Creates a client. It holds connections and timers until it is closed. */
export function createClient<Experiments extends ExperimentParams = Record<string, Record<string, unknown>>>(
  options: ClientOptions,
): Client<Experiments> {
  const settings = fillIn(options);
  const local = createLocalEvaluation(settings);
  const exposures = createExposures(settings);
  const listeners = new Set<() => void>();
  const isRemote = settings.mode === 'remote';
  let isReady = isRemote;
  let stopFollowing = (): void => undefined;
  if (!isRemote) {
    stopFollowing = followDefinitions(settings, (...news) => {
      local.take(...news);
      isReady = true;
      for (const listener of listeners) listener();
    });
  }
  const isLocal = (): boolean => isReady && !isRemote;

  const assignAll = async (unit: Unit, keys?: readonly string[]): Promise<Record<string, Decision>> => {
    const decisions: Record<string, Decision> = {};
    let open = keys;
    // Until definitions are here, the service is asked: that is quicker than to wait for them.
    if (isLocal()) {
      open = (keys ?? local.keysOf(unit.unitType)).filter((key) => {
        const { decision, isFinal } = local.evaluate(key, unit);
        decisions[key] = decision;
        return !isFinal;
      });
    }
    if (!settings.assignmentUrl || open?.length === 0) return decisions;
    try {
      for (const [key, decision] of await askRemotely(settings, unit, open, local.remember)) decisions[key] = decision;
    } catch (error) {
      settings.onError('assignment', error as Error);
      for (const key of open ?? []) decisions[key] ??= toDecision(key, unit, 'unavailable');
    }
    return decisions;
  };

  const client: Client = {
    ready: async (timeoutMs = 5_000) =>
      isReady ||
      new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer);
          listeners.delete(settle);
          resolve(isReady);
        };
        const timer = setTimeout(settle, timeoutMs);
        listeners.add(settle);
      }),
    evaluate: (key, unit) => (isLocal() ? local.evaluate(key, unit).decision : toDecision(key, unit, 'unavailable')),
    assign: async (key, unit) => (await assignAll(unit, [key]))[key] ?? toDecision(key, unit, 'unavailable'),
    assignAll: assignAll as Client['assignAll'],
    expose: exposures.expose,
    flush: exposures.flush,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      stopFollowing();
      await exposures.close();
    },
  };
  return client as unknown as Client<Experiments>;
}
