// What a workload needs of the platform: ask for assignments, import assignments recorded elsewhere, send events.

export type ExperimentRef = { readonly experiment_id: string; readonly variant_id: string };

/** One event as the ingestion service takes it (POST /v1/events). */
export type EventBody = {
  readonly event_id: string;
  readonly event_type: string;
  readonly unit_type: string;
  readonly unit_id: string;
  readonly experiments: readonly ExperimentRef[];
  readonly context: Readonly<Record<string, string | number | boolean | null>>;
  readonly metrics: Readonly<Record<string, number>>;
  readonly payload?: object;
  /** ISO 8601 in UTC, with Z. */
  readonly timestamp: string;
};

export type Unit = { readonly unit_type: string; readonly unit_id: string };

export type AssignedVariant = ExperimentRef & { readonly variant_name: string };

/** An assignment that another system made and this one only records. */
export type ImportedAssignment = ExperimentRef &
  Unit & {
    /** ISO 8601 in UTC, with Z. */
    readonly assigned_at: string;
  };

/** The answer to one sent event; `rejected` ones carry what the service said. */
export type SendOutcome =
  | { readonly event_id: string; readonly status: 'accepted' }
  | { readonly event_id: string; readonly status: 'rejected'; readonly code: string; readonly message: string };

export type ImportCounts = { readonly imported: number; readonly alreadyThere: number };

export type WorkloadPort = {
  /** Assignments of a unit, stored by the service; the requested experiments in which it takes no part are missing. */
  readonly assign: (
    unit: Unit,
    options: { readonly experiments: readonly string[]; readonly context: EventBody['context'] },
  ) => Promise<readonly AssignedVariant[]>;
  /** Sends events in one request; repeats it with the same event ids while the service is busy. One outcome per event, in order. */
  readonly send: (events: readonly EventBody[]) => Promise<readonly SendOutcome[]>;
  /** Imports assignments; those already there with the same variant count as such, another variant is an error. */
  readonly importAssignments: (assignments: readonly ImportedAssignment[]) => Promise<ImportCounts>;
};

/** How definitions are written by the workloads; the keys are those of the experiment YAML. Allocations are shares, 0..1. */
export type ExperimentDefinition = {
  readonly key: string;
  readonly name: string;
  readonly iteration: number;
  readonly unit_type: string;
  readonly exposure: 'explicit' | 'implicit';
  readonly hypothesis: string;
  readonly owner: string;
  readonly coverage: number;
  /** Names of metrics as in config/metrics.yml. */
  readonly metrics?: {
    readonly primary: string;
    readonly secondary?: string[];
    readonly guardrails?: { metric: string }[];
  };
  readonly variants: readonly {
    readonly name: string;
    readonly allocation: number;
    readonly is_control: boolean;
    readonly config: { readonly policy_version_id?: string; readonly params: Readonly<Record<string, unknown>> };
  }[];
};
