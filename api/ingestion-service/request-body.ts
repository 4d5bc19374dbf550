// Reads request bodies: JSON and NDJSON, gzip too, within bounds of size; refuses what must not be parsed.
import { isUtf8 } from 'node:buffer';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** The events of a request before any of them is checked. */
export type RequestEvents = {
  readonly form: 'single' | 'batch';
  readonly events: readonly (unknown | MalformedLine)[];
};

/** One line of an NDJSON body that is not JSON; the other lines are still used. */
export class MalformedLine {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

/** A request that is refused as a whole. */
export class RequestError extends Error {
  readonly statusCode: number;
  readonly code: string;
  readonly field: string | undefined;
  constructor(statusCode: number, code: string, message: string, field?: string) {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
    this.field = field;
  }
}

export type BodyLimits = { readonly maxBodyBytes: number; readonly maxEvents: number };

const inflate = promisify(gunzip);

/** Where memory for an inflated body is reserved before it exists; see `admission.ts`. */
export type InflationReserve = (request: FastifyRequest, bytes: number) => void;

async function readText(
  request: FastifyRequest,
  body: Buffer,
  options: { limits: BodyLimits; reserve: InflationReserve },
): Promise<string> {
  const encoding = request.headers['content-encoding'];
  let plain = body;
  if (encoding === 'gzip') {
    options.reserve(request, body.length + options.limits.maxBodyBytes);
    try {
      plain = (await inflate(body, { maxOutputLength: options.limits.maxBodyBytes })) as Buffer;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        throw new RequestError(
          413,
          'too-large',
          `the inflated body is larger than ${options.limits.maxBodyBytes} bytes`,
        );
      }
      throw new RequestError(400, 'malformed-gzip', 'the body is not gzip, as its Content-Encoding says');
    }
    options.reserve(request, body.length + plain.length);
  }
  if (!isUtf8(plain)) throw new RequestError(400, 'malformed-json', 'the body is not UTF-8 text');
  return plain.toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RequestError(400, 'malformed-json', 'the body is not JSON');
  }
}

function listEvents(value: unknown): RequestEvents {
  if (Array.isArray(value)) return { form: 'batch', events: value };
  if (typeof value !== 'object' || value === null) {
    throw new RequestError(400, 'invalid', 'the body must be an event, a list of events or {"events": [...]}');
  }
  if (!Object.hasOwn(value, 'events')) return { form: 'single', events: [value] };
  const other = Object.keys(value).find((name) => name !== 'events');
  if (other !== undefined) {
    throw new RequestError(400, 'unknown-field', 'is not a field beside events', other.slice(0, 100));
  }
  const { events } = value as { events: unknown };
  if (!Array.isArray(events)) throw new RequestError(400, 'invalid', 'must be a list', 'events');
  return { form: 'batch', events };
}

function parseLines(text: string, maxEvents: number): RequestEvents {
  const events: unknown[] = [];
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(start, end).trim();
    start = end + 1;
    if (line === '') continue;
    if (events.length === maxEvents) throw tooManyEvents(maxEvents);
    try {
      events.push(JSON.parse(line));
    } catch {
      events.push(new MalformedLine('the line is not JSON'));
    }
  }
  return { form: 'batch', events };
}

function tooManyEvents(maxEvents: number): RequestError {
  return new RequestError(413, 'too-many-events', `a request may carry at most ${maxEvents} events`);
}

function checkCount(request: RequestEvents, maxEvents: number): RequestEvents {
  if (request.events.length === 0) throw new RequestError(400, 'empty-batch', 'the request carries no events');
  if (request.events.length > maxEvents) throw tooManyEvents(maxEvents);
  return request;
}

/** Replaces Fastify's own parsers: bodies arrive in handlers as `RequestEvents`. */
export function addEventParsers(
  app: FastifyInstance,
  options: { limits: BodyLimits; reserve: InflationReserve },
): void {
  const { limits } = options;
  app.removeAllContentTypeParsers();
  const parserOptions = { parseAs: 'buffer', bodyLimit: limits.maxBodyBytes } as const;
  app.addContentTypeParser('application/json', parserOptions, async (request: FastifyRequest, body: Buffer) =>
    checkCount(listEvents(parseJson(await readText(request, body, options))), limits.maxEvents),
  );
  app.addContentTypeParser('application/x-ndjson', parserOptions, async (request: FastifyRequest, body: Buffer) =>
    checkCount(parseLines(await readText(request, body, options), limits.maxEvents), limits.maxEvents),
  );
}

/** Refuses encodings other than gzip before the body is read. */
export function refuseUnknownEncoding(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'identity') {
    throw new RequestError(415, 'unsupported-encoding', 'the only Content-Encoding accepted is gzip');
  }
}
