// Reads what a plan event says about its plan, for datasets; an event that breaks the documented payload is told with its JSON path.
import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import {
  type PlanFeedbackPayload,
  PlanFeedbackPayloadShape,
  type PlanGeneratedPayload,
  PlanGeneratedPayloadShape,
} from '#domain/planning/plan-shape.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

/** The event that a side of a training row came from; sides are chosen by (eventTimeMs, eventId). */
export type PlanEventIdentity = { readonly eventId: string; readonly eventTimeMs: number };

export type GeneratedPlan = PlanEventIdentity & {
  readonly kind: 'generated';
  readonly planId: string;
  readonly experiments: EventRecord['experiments'];
  readonly payload: PlanGeneratedPayload;
};

export type PlanReaction = PlanEventIdentity & {
  readonly kind: 'reaction';
  readonly planId: string;
  readonly reaction: 'accepted' | 'edited';
  readonly payload: PlanFeedbackPayload;
};

export type PlanEvent = GeneratedPlan | PlanReaction;

export type ParsedPlanEvent =
  | { readonly ok: true; readonly event: PlanEvent | null }
  /** `path` is where in the event, as in `payload.request.slots[0].date`. */
  | { readonly ok: false; readonly path: string; readonly message: string };

const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$/;

/** The plan event, or null for every other event type, which datasets do not use. */
export function parsePlanEvent(event: EventRecord): ParsedPlanEvent {
  const identity = { eventId: event.event_id, eventTimeMs: event.event_time };
  if (event.event_type === 'plan_generated') {
    const payload = parsePayload<PlanGeneratedPayload>(PlanGeneratedPayloadShape, event.payload);
    if (!payload.ok) return payload;
    const { request, plan_id } = payload.value;
    if (!instant.test(request.requested_at) || Number.isNaN(Date.parse(request.requested_at))) {
      return { ok: false, path: 'payload.request.requested_at', message: 'must be an ISO 8601 time in UTC, with Z' };
    }
    const { experiments } = event;
    return {
      ok: true,
      event: { kind: 'generated', planId: plan_id, ...identity, experiments, payload: payload.value },
    };
  }
  if (event.event_type !== 'plan_accepted' && event.event_type !== 'plan_edited') return { ok: true, event: null };
  const payload = parsePayload<PlanFeedbackPayload>(PlanFeedbackPayloadShape, event.payload);
  if (!payload.ok) return payload;
  const reaction = event.event_type === 'plan_accepted' ? 'accepted' : 'edited';
  if (reaction === 'accepted' && payload.value.edited_slots.length > 0) {
    return { ok: false, path: 'payload.edited_slots', message: 'must be empty for plan_accepted' };
  }
  const planId = payload.value.plan_id;
  return { ok: true, event: { kind: 'reaction', planId, ...identity, reaction, payload: payload.value } };
}

function parsePayload<T>(
  shape: TSchema,
  text: string | null,
): { ok: true; value: T } | { ok: false; path: string; message: string } {
  if (text === null) return { ok: false, path: 'payload', message: 'must not be empty' };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, path: 'payload', message: 'must be JSON text' };
  }
  if (Value.Check(shape, value)) return { ok: true, value: value as T };
  const problem = Value.Errors(shape, value).First();
  return {
    ok: false,
    path: toPath(problem?.path ?? ''),
    message: problem === undefined ? 'does not have the documented shape' : lowerFirst(problem.message),
  };
}

/** `/request/slots/0/date` as `payload.request.slots[0].date`. */
function toPath(pointer: string): string {
  const steps = pointer.split('/').slice(1);
  return steps.reduce((path, step) => {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    return /^\d+$/.test(name) ? `${path}[${name}]` : `${path}.${name}`;
  }, 'payload');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
