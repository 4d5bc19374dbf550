// Asks the assignment service for the variants of a household.
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { ExperimentRef } from '#producers/workload-client/workload-port.ts';
import { describeMismatch, readRefusal } from './neighbor-answer.ts';

/** The fields of an answer of POST /v1/assignments that are used here. */
const AssignmentShape = Type.Object({
  experiment_id: Type.String(),
  experiment_key: Type.String(),
  variant_id: Type.String(),
  variant_name: Type.String(),
  assigned_variant_id: Type.Union([Type.String(), Type.Null()]),
  config: Type.Object({
    policy_version_id: Type.Optional(Type.String()),
    params: Type.Record(Type.String(), Type.Unknown()),
  }),
});
const AnswerShape = Type.Object({ assignments: Type.Array(AssignmentShape) });

export type AssignmentAnswer = Static<typeof AssignmentShape>;

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
      const body: unknown = await response.json();
      if (response.ok) {
        if (Value.Check(AnswerShape, body)) return { assignments: body.assignments, problem: null };
        return { assignments: [], problem: describeMismatch(AnswerShape, body) };
      }
      const refusal = readRefusal(body);
      // There is no experiment on households: nobody is in one.
      if (refusal?.code === 'unknown-unit-type') return { assignments: [], problem: null };
      return { assignments: [], problem: `status ${response.status}: ${refusal?.message ?? 'no reason given'}` };
    } catch (error) {
      return { assignments: [], problem: error instanceof Error ? error.message : String(error) };
    }
  };
}
