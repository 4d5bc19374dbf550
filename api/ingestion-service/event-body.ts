// The body of one event over HTTP: its schema, and what is wrong with a value that does not fit it.
import { type Static, Type } from '@sinclair/typebox';
import { Ajv, type ErrorObject } from 'ajv';
import { eventLimits } from '#domain/event/parse-event.ts';

const Uuid = Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', description: 'lower-case UUID' });

export const EventBody = Type.Object(
  {
    event_id: Type.Optional(Uuid),
    event_type: Type.String(),
    unit_type: Type.String(),
    unit_id: Type.String(),
    experiments: Type.Optional(
      Type.Array(Type.Object({ experiment_id: Uuid, variant_id: Uuid }, { additionalProperties: false }), {
        maxItems: eventLimits.experiments,
      }),
    ),
    context: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Unsafe<string | number | boolean | null>({ type: ['string', 'number', 'boolean', 'null'] }),
        {
          description: 'Flat attributes of the situation',
        },
      ),
    ),
    metrics: Type.Optional(Type.Record(Type.String(), Type.Number(), { description: 'Finite numbers by metric name' })),
    payload: Type.Optional(Type.Unknown({ description: 'Any JSON; stored as JSON text' })),
    timestamp: Type.Optional(
      Type.String({ description: 'ISO 8601 with a zone; required with event_id; the time of arrival when absent' }),
    ),
  },
  { additionalProperties: false, $id: 'Event' },
);
export type EventBody = Static<typeof EventBody>;

export type BodyProblem = {
  readonly code: 'invalid' | 'unknown-field';
  readonly field: string;
  readonly message: string;
};

// Numbers such as 1e999 are parsed as Infinity; Ajv's strict numbers refuse them, as the event rules do.
const validate = new Ajv({
  allErrors: false,
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
  allowUnionTypes: true,
}).compile<EventBody>(EventBody);

const longestName = 100;

/** A JSON pointer as people write paths: `/experiments/0/variant_id` is `experiments[0].variant_id`. */
export function pathOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => {
      if (/^\d+$/.test(part)) return `${path}[${part}]`;
      return path === '' ? shorten(part) : `${path}.${shorten(part)}`;
    }, '');
}

function shorten(name: string): string {
  return name.length > longestName ? `${name.slice(0, longestName)}…` : name;
}

function problemOf(error: ErrorObject): BodyProblem {
  const path = pathOf(error.instancePath);
  const inside = (name: string): string => (path === '' ? shorten(name) : `${path}.${shorten(name)}`);
  if (error.keyword === 'additionalProperties') {
    const name = (error.params as { additionalProperty: string }).additionalProperty;
    return { code: 'unknown-field', field: inside(name), message: 'is not a field of an event' };
  }
  if (error.keyword === 'required') {
    return {
      code: 'invalid',
      field: inside((error.params as { missingProperty: string }).missingProperty),
      message: 'is required',
    };
  }
  const expected =
    error.keyword === 'pattern'
      ? 'must be a lower-case UUID'
      : (error.message ?? 'is not valid').replace('must NOT', 'must not');
  return { code: 'invalid', field: path === '' ? 'event' : path, message: expected };
}

/** The value as an event body, or the first problem with its shape. */
export function checkEventBody(value: unknown): { ok: true; body: EventBody } | { ok: false; problem: BodyProblem } {
  if (validate(value)) return { ok: true, body: value };
  return { ok: false, problem: problemOf(validate.errors![0]!) };
}
