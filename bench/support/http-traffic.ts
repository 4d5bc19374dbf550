// The requests that the load generator sends, by name: the same for a service and for what it is compared with.
import { randomUUID } from 'node:crypto';
import type { EventRecord } from '#schemas/generated/records.ts';
import { benchExperiment, benchUnitType, createEvents } from './workload.ts';

export const trafficNames = ['single-events', 'batches-of-100', 'new-units', 'stored-units'] as const;
export type TrafficName = (typeof trafficNames)[number];

export type Traffic = {
  readonly path: string;
  /** What one request is worth: events, or assignments. */
  readonly itemsPerRequest: number;
  /** Bodies that must have been answered once before anything is measured. */
  readonly preparing: readonly Buffer[];
  next(): Buffer;
};

export const eventsPerBatch = 100;
const preparedSingles = 2_000;
const preparedBatches = 100;
const storedUnits = 2_000;

/** The event as a client sends it. */
function toEventBody(event: EventRecord): object {
  return {
    event_id: event.event_id,
    event_type: event.event_type,
    unit_type: event.unit_type,
    unit_id: event.unit_id,
    experiments: event.experiments,
    context: event.context,
    metrics: event.metrics,
    timestamp: new Date(event.event_time).toISOString(),
  };
}

function createEventBodies(count: number, perBody: number): Buffer[] {
  // Ids repeat when the bodies are used up: the door does not look at that, and nobody reads these events.
  const events = [
    ...createEvents({ count: count * perBody, units: 10_000, startMs: Date.now() - 7_200_000, seed: 11 }),
  ];
  return Array.from({ length: count }, (_, index) => {
    const bodies = events.slice(index * perBody, (index + 1) * perBody).map(toEventBody);
    return Buffer.from(JSON.stringify(perBody === 1 ? bodies[0] : { events: bodies }));
  });
}

function assignmentBody(unitId: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      unit_type: benchUnitType,
      unit_id: unitId,
      context: { country: 'NL' },
      requested_experiments: [benchExperiment.key],
    }),
  );
}

function inTurn(bodies: readonly Buffer[]): () => Buffer {
  let position = 0;
  return () => {
    position = (position + 1) % bodies.length;
    return bodies[position]!;
  };
}

export function createTraffic(name: TrafficName): Traffic {
  const run = randomUUID().slice(0, 8);
  switch (name) {
    case 'single-events':
      return {
        path: '/v1/events',
        itemsPerRequest: 1,
        preparing: [],
        next: inTurn(createEventBodies(preparedSingles, 1)),
      };
    case 'batches-of-100':
      return {
        path: '/v1/events',
        itemsPerRequest: eventsPerBatch,
        preparing: [],
        next: inTurn(createEventBodies(preparedBatches, eventsPerBatch)),
      };
    case 'new-units': {
      let serial = 0;
      const next = (): Buffer => {
        serial += 1;
        return assignmentBody(`unit-${run}-${serial}`);
      };
      return { path: '/v1/assignments', itemsPerRequest: 1, preparing: [], next };
    }
    case 'stored-units': {
      const bodies = Array.from({ length: storedUnits }, (_, unit) => assignmentBody(`unit-${run}-${unit}`));
      return { path: '/v1/assignments', itemsPerRequest: 1, preparing: bodies, next: inTurn(bodies) };
    }
  }
}
