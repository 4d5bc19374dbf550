// The definitions as clients read them: one text with its ETag, and what each change adds to it.
import { createHash } from 'node:crypto';
import { toClientDefinition } from '#domain/experiment/client-definition.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { DefinitionIndex } from '#producers/definition-store/live-definitions.ts';

/** All definitions, serialized once for everybody who reads them. */
export type DefinitionSnapshot = { readonly etag: string; readonly text: string };

export type DefinitionFeed = {
  current(): DefinitionSnapshot;
  /** Takes the new state; listeners are called before it returns, when anything that clients see has changed. */
  publish(index: DefinitionIndex): void;
  /** `change` is the JSON text {from, etag, experiments, removed}, the last one a list of keys. Returns the function that ends the subscription. */
  subscribe(listener: (change: string, etag: string) => void): () => void;
};

/** Nobody can get anything from an archived experiment, and from a draft test units only. */
function isServed({ status, forcedVariants }: Experiment): boolean {
  return status !== 'archived' && (status !== 'draft' || Object.keys(forcedVariants).length > 0);
}

/** The JSON text of each definition by its key. */
type Entries = ReadonlyMap<string, string>;

function toEntries(index: Pick<DefinitionIndex, 'byKey'>): Entries {
  const served = [...index.byKey.values()].map(({ experiment }) => experiment).filter(isServed);
  return new Map(
    served
      .sort((one, other) => (one.experimentKey < other.experimentKey ? -1 : 1))
      .map((experiment) => [experiment.experimentKey, JSON.stringify(toClientDefinition(experiment))]),
  );
}

/** The ETag is made from the content alone, so that it is the same on every instance and after a restart. */
function toSnapshot(entries: Entries): DefinitionSnapshot {
  const list = `[${[...entries.values()].join(',')}]`;
  const etag = createHash('sha256').update(list).digest('hex').slice(0, 32);
  return { etag, text: `{"etag":"${etag}","experiments":${list}}` };
}

export function createDefinitionFeed(): DefinitionFeed {
  const listeners = new Set<(change: string, etag: string) => void>();
  let entries: Entries = new Map();
  let snapshot = toSnapshot(entries);
  return {
    current: () => snapshot,
    publish: (index) => {
      const next = toEntries(index);
      const nextSnapshot = toSnapshot(next);
      if (nextSnapshot.etag === snapshot.etag) return;
      const changed = [...next].flatMap(([key, text]) => (entries.get(key) === text ? [] : [text]));
      const removed = [...entries.keys()].filter((key) => !next.has(key));
      const { etag } = nextSnapshot;
      const change = `{"from":"${snapshot.etag}","etag":"${etag}","experiments":[${changed.join(',')}],"removed":${JSON.stringify(removed)}}`;
      entries = next;
      snapshot = nextSnapshot;
      for (const listener of listeners) listener(change, etag);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
