// The one way in which a planning request is written as text: serving, the dataset and the training code get the same bytes.

import type { PlanRequest } from './request-shape.ts';

/**
 * JSON without spaces and with the keys of every object in code unit order, so equal values give equal text wherever
 * they have been stored in between (jsonb does not keep the order of keys).
 *
 * @throws TypeError for what JSON cannot hold: a number that is not finite, undefined, a function, a bigint, a symbol.
 */
export function toCanonicalJson(value: unknown): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`canonical JSON cannot hold the number ${value}`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(toCanonicalJson).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`canonical JSON cannot hold a value of type ${typeof value}`);
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${toCanonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

/** The training input: the request snapshot as canonical JSON. Nothing else may serialize a request. */
export function serializePlanRequest(request: PlanRequest): string {
  return toCanonicalJson(request);
}
