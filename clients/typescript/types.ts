// The public types of the client; nothing here depends on the rest of the repository, because it is published as it is.

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** The params of each experiment's variants by experiment key: what `createClient<…>` makes typed. */
export type ExperimentParams = { [experimentKey: string]: object };

/** Who or what gets a variant, and the attributes that targeting looks at. */
export type Unit = {
  readonly unitType: string;
  readonly unitId: string;
  readonly context?: { readonly [attribute: string]: unknown };
};

export type VariantConfig<Params extends object = Record<string, unknown>> = {
  readonly policy_version_id?: string;
  readonly params: Params;
};

/** What one unit gets from one experiment. */
export type Decision<Params extends object = Record<string, unknown>> = {
  readonly experimentKey: string;
  /** Null when the experiment is not known. */
  readonly experimentId: string | null;
  readonly unit: Unit;
  /** What to deliver; null means your default, such as the production policy. */
  readonly variantId: string | null;
  readonly variantName: string | null;
  readonly config: VariantConfig<Params> | null;
  /** What is analyzed; differs from `variantId` while one variant is served to all, or none. */
  readonly assignedVariantId: string | null;
  readonly hashBucket: number | null;
  /**
   * `assigned`, `forced` or `all-to` with a variant; without one why there is none, such as `outside-coverage`, `not-targeted`,
   * `paused`, `off`, `unknown-experiment`, `store-required` (only the service can answer) or `unavailable`.
   */
  readonly reason: string;
  /** Where the assignment comes from: decided here, remembered by the sticky store, or answered by the service. */
  readonly from: 'local' | 'sticky' | 'remote';
};

/** Remembers what units got. Values are short texts; a store that throws is reported and does without. */
export type StickyStore = {
  get(key: string): string | null | undefined;
  set(key: string, value: string): void;
};

/** The payload of `GET /v1/definitions`. */
export type Definitions = { readonly etag: string; readonly experiments: readonly object[] };

export type ClientErrorKind = 'definitions' | 'assignment' | 'exposure' | 'sticky-store';

export type ClientOptions = {
  /** Base address of the assignment service, such as `https://assignments.example.com`. */
  readonly assignmentUrl?: string;
  /** A key with the scope `assign`. */
  readonly apiKey?: string;
  /** `local` (default) evaluates here, from streamed definitions; `remote` asks the service each time. */
  readonly mode?: 'local' | 'remote';
  /** Definitions to begin with, such as those that a server rendered into the page. */
  readonly definitions?: Definitions;
  /** Asks for definitions this often, instead of the stream: for networks that hold streams back. */
  readonly pollIntervalMs?: number;
  /** Longest wait for one request; default 3,000. */
  readonly timeoutMs?: number;
  /** Default: the last 10,000 units in memory. */
  readonly stickyStore?: StickyStore;
  /** Base address of the ingestion service, or of your own endpoint that forwards `/v1/events`. Needed for exposures. */
  readonly ingestionUrl?: string;
  /** A key with the scope `ingest`; `apiKey` when absent, and `null` for an endpoint of your own that needs none. */
  readonly ingestionApiKey?: string | null;
  /** Longest time that an exposure waits for others; default 1,000. */
  readonly flushIntervalMs?: number;
  /** Most exposures of one request; default 100, of which browsers still deliver all when the page goes away (64 KiB). */
  readonly maxBatchEvents?: number;
  /** Most exposures that wait while the service is away; default 10,000. More are given up and reported. */
  readonly maxQueuedEvents?: number;
  readonly fetch?: typeof globalThis.fetch;
  readonly nowMs?: () => number;
  /** Hears of everything that went wrong; nothing throws. Default: `console.warn`. */
  readonly onError?: (kind: ClientErrorKind, error: Error) => void;
};

export type Client<Experiments extends ExperimentParams = Record<string, Record<string, unknown>>> = {
  /** Resolves true once definitions are here, false when that takes longer (default 5,000 ms). At once in remote mode. */
  ready(timeoutMs?: number): Promise<boolean>;
  /** Decides here and now, without any request. */
  evaluate<Key extends keyof Experiments & string>(experimentKey: Key, unit: Unit): Decision<Experiments[Key]>;
  /** Decides here, and asks the service for what only it can answer. Never rejects. */
  assign<Key extends keyof Experiments & string>(experimentKey: Key, unit: Unit): Promise<Decision<Experiments[Key]>>;
  /** As `assign` for several experiments, or all of the unit type, with one request at most. */
  assignAll<Key extends keyof Experiments & string>(
    unit: Unit,
    experimentKeys?: readonly Key[],
  ): Promise<{ [K in Key]?: Decision<Experiments[K]> }>;
  /**
   * Call it when the unit really meets the variant. Returns whether an exposure was queued: not when it was today already, and not
   * when the unit does not get the variant that it is analyzed by. `context` is kept with the event for segments.
   */
  expose(decision: Decision<object>, context?: { readonly [name: string]: string | number | boolean | null }): boolean;
  /** Calls back after definitions have changed. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
  /** Sends what waits now. Resolves with the number of exposures that could not be delivered yet. */
  flush(): Promise<number>;
  /** Sends what waits, and ends streams and timers. */
  close(): Promise<void>;
};
