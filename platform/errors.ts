// Error taxonomy: every failure is retryable (wait, same record), a record's own fault (dead-letter it) or fatal (stop the process).

export const errorCodes = [
  'config-invalid',
  'dependency-unavailable',
  'deadline-exceeded',
  'record-rejected',
  'ownership-lost',
  'offset-below-log-start',
  'cluster-mismatch',
  'schema-incompatible',
  'schema-unknown',
  'migration-failed',
  'unexpected',
] as const;
export type ErrorCode = (typeof errorCodes)[number];

type PlatformErrorOptions = { code: ErrorCode; cause?: unknown };

export class PlatformError extends Error {
  readonly code: ErrorCode;
  constructor(message: string, options: PlatformErrorOptions) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code;
  }
}

/** A dependency is away or busy: the same work may be tried again unchanged. */
export class RetryableError extends PlatformError {}
/** This record (or request) can never succeed; others can. */
export class RecordError extends PlatformError {}
/** Going on could lose or corrupt data: the process must stop, and a person must read the message. */
export class FatalError extends PlatformError {}

export type ErrorClass = 'retryable' | 'record' | 'fatal';

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNABORTED',
]);

/** SQLSTATE codes that heal with time: connection loss, shutdown, resource limits, serialization and deadlock. */
const retryableSqlStates = new Set([
  '40001',
  '40P01',
  '55P03',
  '57014',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '25P03',
  '25P04',
]);
const retryableSqlClasses = new Set(['08', '53', '58']);
/** Class 22 (data exception), 23 (constraint violation) and 54 (limit exceeded, such as nesting): the row is at fault, whoever sends it. */
const recordSqlClasses = new Set(['22', '23', '54']);

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : undefined;
}

/** The class of response for any thrown value. Total: what is not recognized is fatal. */
export function classifyError(error: unknown): ErrorClass {
  if (error instanceof RetryableError) return 'retryable';
  if (error instanceof RecordError) return 'record';
  if (error instanceof FatalError) return 'fatal';
  const code = codeOf(error);
  if (code !== undefined) {
    if (networkCodes.has(code)) return 'retryable';
    if (/^[0-9A-Z]{5}$/.test(code)) {
      if (retryableSqlStates.has(code) || retryableSqlClasses.has(code.slice(0, 2))) return 'retryable';
      if (recordSqlClasses.has(code.slice(0, 2))) return 'record';
    }
  }
  if (error instanceof Error) {
    // pg reports a connection lost in mid-query and a pool timeout without any code.
    if (
      /Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout/.test(
        error.message,
      )
    ) {
      return 'retryable';
    }
    // kafkajs marks what a later attempt may cure; S3 clients carry the HTTP status.
    if ((error as { retriable?: unknown }).retriable === true) return 'retryable';
    const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
    if (status !== undefined && (status >= 500 || status === 429)) return 'retryable';
    if (error.name === 'TimeoutError' || error.name === 'NetworkingError') return 'retryable';
    if (error instanceof AggregateError && error.errors.length > 0) {
      return error.errors.every((inner) => classifyError(inner) === 'retryable') ? 'retryable' : 'fatal';
    }
  }
  return 'fatal';
}

/** One line for people and logs: the message and the chain of causes. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message === '' ? (codeOf(error) ?? error.name) : error.message;
  if (error instanceof AggregateError && error.errors.length > 0) {
    return `${own}: ${error.errors.map(describeError).join('; ')}`;
  }
  return error.cause === undefined ? own : `${own}: ${describeError(error.cause)}`;
}
