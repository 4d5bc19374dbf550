// A platform in memory for tests of the workloads: assignments stick, imports and events count once.

import type { AssignedVariant, EventBody, ImportedAssignment, Unit, WorkloadPort } from './workload-port.ts';

export type FakeWorkloadPort = WorkloadPort & {
  /** Everything that was called, in order: `imported 100`, `sent 100`, `assigned`. */
  readonly actions: string[];
  /** Events by id; sending one again replaces it, and another content under the same id is an error. */
  readonly events: ReadonlyMap<string, EventBody>;
  readonly assignments: ReadonlyMap<string, ImportedAssignment>;
};

export function createFakeWorkloadPort(
  decide: (unit: Unit) => readonly AssignedVariant[] = () => [],
): FakeWorkloadPort {
  const actions: string[] = [];
  const events = new Map<string, EventBody>();
  const assignments = new Map<string, ImportedAssignment>();
  return {
    actions,
    events,
    assignments,
    assign: async (unit) => {
      actions.push('assigned');
      return decide(unit);
    },
    importAssignments: async (batch) => {
      actions.push(`imported ${batch.length}`);
      const added = batch.filter(({ unit_id }) => !assignments.has(unit_id));
      for (const assignment of added) assignments.set(assignment.unit_id, assignment);
      return { imported: added.length, alreadyThere: batch.length - added.length };
    },
    send: async (batch) => {
      actions.push(`sent ${batch.length}`);
      return batch.map((event) => {
        const known = events.get(event.event_id);
        events.set(event.event_id, event);
        if (known === undefined || JSON.stringify(known) === JSON.stringify(event)) {
          return { event_id: event.event_id, status: 'accepted' };
        }
        return { event_id: event.event_id, status: 'rejected', code: 'conflict', message: 'same id, other content' };
      });
    },
  };
}
