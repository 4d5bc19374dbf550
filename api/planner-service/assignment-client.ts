// Asks the assignment service for the variants of a household.
import type { ExperimentRef } from '#producers/workload-client/workload-port.ts';

/** The fields of an answer of POST /v1/assignments that are used here. */
export type AssignmentAnswer = {
  readonly experiment_id: string;
  readonly experiment_key: string;
  readonly variant_id: string;
  readonly variant_name: string;
  readonly assigned_variant_id: string | null;
  readonly config: { readonly policy_version_id?: string; readonly params: Readonly<Record<string, unknown>> };
};

export type HouseholdAssignments = {
  readonly assignments: readonly AssignmentAnswer[];
  /** Why the service could not be asked; null when it answered. */
  readonly problem: string | null;
};

export type AskAssignments = (
  householdId: string,
  context: Readonly<Record<string, string | number | boolean | null>>,
) => Promise<HouseholdAssignments>;

export const householdUnitType = 'household';

/** Results are analyzed by assignment, also where serving delivers another variant. */
export function toExperimentRefs(assignments: readonly AssignmentAnswer[]): ExperimentRef[] {
  return assignments.map(({ experiment_id, assigned_variant_id, variant_id }) => ({
    experiment_id,
    variant_id: assigned_variant_id ?? variant_id,
  }));
}

/** Never throws: a household gets its plan, in no experiment, when the service is away. */
export function createAssignmentClient(options: {
  url: string;
  apiKey: string;
  timeoutMs: number;
  fetch?: typeof globalThis.fetch;
}): AskAssignments {
  const address = new URL('/v1/assignments', options.url).href;
  const send = options.fetch ?? globalThis.fetch;
  return async (householdId, context) => {
    try {
      const response = await send(address, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${options.apiKey}` },
        body: JSON.stringify({ unit_type: householdUnitType, unit_id: householdId, context }),
        signal: AbortSignal.timeout(options.timeoutMs),
      });
      const body = (await response.json()) as { code?: string; message?: string; assignments?: AssignmentAnswer[] };
      if (response.ok && Array.isArray(body.assignments)) return { assignments: body.assignments, problem: null };
      // There is no experiment on households: nobody is in one.
      if (body.code === 'unknown-unit-type') return { assignments: [], problem: null };
      return {
        assignments: [],
        problem: `status ${response.status}: ${body.message ?? body.code ?? 'no reason given'}`,
      };
    } catch (error) {
      return { assignments: [], problem: error instanceof Error ? error.message : String(error) };
    }
  };
}
