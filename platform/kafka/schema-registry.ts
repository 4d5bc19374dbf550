// The schema registry: registration at deploy time, ids for writers, schemas by id for readers.
import { COMPATIBILITY, SchemaRegistry as ConfluentRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import type avro from 'avsc';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { findIncompatibilities, type SchemaVersion } from '#schemas/history/compatibility.ts';

export type AvroSchema = avro.Schema;
export type Compatibility = 'BACKWARD_TRANSITIVE' | 'FULL_TRANSITIVE';

export type SchemaRegistry = {
  /**
   * Registers the schema under the subject and sets the subject's compatibility. Idempotent. Deploy time only.
   * @throws FatalError `schema-incompatible`, which names the fields that stand in the way.
   */
  register(subject: string, schema: AvroSchema, compatibility: Compatibility): Promise<number>;
  /** Id of exactly this schema under the subject; never registers it. */
  idOf(subject: string, schema: AvroSchema): Promise<number>;
  /** The writer schema with this id, or null when the registry does not have it. */
  findById(id: number): Promise<AvroSchema | null>;
};

type HttpLikeError = { status?: number; response?: () => { status?: () => number } };

function statusOf(error: unknown): number | undefined {
  const candidate = error as HttpLikeError;
  return candidate.status ?? candidate.response?.().status?.();
}

/**
 * The client calls every failure of the network an answer with status 400, and puts its text where the body would be. A registry that
 * refuses says why in a field of its own, which the client then shows instead of the status.
 */
function isNoAnswer(error: unknown): boolean {
  return statusOf(error) === 400 && (error as Error).message.includes('Error, status 400: ');
}

/** The client has its own errors, without a status, for what it found wrong in an answer or before asking. */
function isVerdict(error: unknown): boolean {
  return statusOf(error) === undefined && (error as Error).name.startsWith('ConfluentSchemaRegistry');
}

/** A schema that is not under the subject: an answer of 404, which the client hands on without its status. */
function isNotRegistered(error: unknown): boolean {
  return statusOf(error) === 404 || (error as Error).name === 'ConfluentSchemaRegistryError';
}

function asRegistryError(action: string, error: unknown): Error {
  if (isVerdict(error)) {
    return new FatalError(`${action}: ${(error as Error).message}`, { code: 'schema-unknown', cause: error });
  }
  const status = statusOf(error);
  if (status === undefined || status >= 500 || status === 429 || isNoAnswer(error)) {
    return new RetryableError(`${action}: the schema registry does not answer`, {
      code: 'dependency-unavailable',
      cause: error,
    });
  }
  return new FatalError(`${action}: the schema registry answered ${status}`, { code: 'schema-unknown', cause: error });
}

type Middleware = NonNullable<ConstructorParameters<typeof ConfluentRegistry>[0]['middlewares']>[number];

/** The client has no deadline of its own. */
const withDeadline =
  (timeoutMs: number): Middleware =>
  () => ({ request: async (request) => request.enhance({ timeout: timeoutMs }) });

async function readJson<T>(url: string, timeoutMs: number): Promise<T> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  if (!answer.ok) throw new Error(`${url} was answered with ${answer.status}`);
  return (await answer.json()) as T;
}

/** Every version that the registry has of a subject. */
async function readVersions(url: string, subject: string, timeoutMs: number): Promise<SchemaVersion[]> {
  const versions = `${url}/subjects/${encodeURIComponent(subject)}/versions`;
  const numbers = await readJson<number[]>(versions, timeoutMs);
  const read = (version: number) => readJson<{ schema: string }>(`${versions}/${version}`, timeoutMs);
  return Promise.all(
    numbers.map(async (version) => ({ version, schema: JSON.parse((await read(version)).schema) as AvroSchema })),
  );
}

/** `timeoutMs`: longest wait for one answer; a request that has none is tried two more times. */
export function createSchemaRegistry(options: { url: string; timeoutMs?: number }): SchemaRegistry {
  const timeoutMs = options.timeoutMs ?? 5_000;
  const client = new ConfluentRegistry({
    host: options.url,
    middlewares: [withDeadline(timeoutMs)],
    retry: { retries: 2, initialRetryTimeInSecs: 0.1, maxRetryTimeInSecs: 2 },
  });
  const confluent = (schema: AvroSchema): { type: SchemaType.AVRO; schema: string } => ({
    type: SchemaType.AVRO,
    schema: JSON.stringify(schema),
  });
  /** A registry points at places in the schema, such as `/fields/4/type`; the rule of `npm run check` names the field. */
  const toRefusal = async (
    subject: string,
    schema: AvroSchema,
    compatibility: Compatibility,
    error: unknown,
  ): Promise<FatalError> => {
    const problems = await readVersions(options.url, subject, timeoutMs)
      .then((versions) => findIncompatibilities(schema, versions, compatibility))
      .catch(() => []);
    const why = problems.length > 0 ? problems.join('; ') : (error as Error).message;
    return new FatalError(
      `registering ${subject}: the registry refuses a schema that is not ${compatibility}: ${why}`,
      {
        code: 'schema-incompatible',
        cause: error,
      },
    );
  };
  return {
    register: async (subject, schema, compatibility) => {
      try {
        const { id } = await client.register(confluent(schema) as never, {
          subject,
          compatibility: COMPATIBILITY[compatibility],
        });
        return id;
      } catch (error) {
        if (statusOf(error) === 409) throw await toRefusal(subject, schema, compatibility, error);
        throw asRegistryError(`registering ${subject}`, error);
      }
    },
    idOf: async (subject, schema) => {
      try {
        return await client.getRegistryIdBySchema(subject, confluent(schema) as never);
      } catch (error) {
        if (isNotRegistered(error)) {
          throw new FatalError(`the schema of ${subject} is not registered: run "ops deploy" first`, {
            code: 'schema-unknown',
            cause: error,
          });
        }
        throw asRegistryError(`looking up ${subject}`, error);
      }
    },
    findById: async (id) => {
      try {
        const schema = await client.getSchema(id);
        return (schema as unknown as avro.Type).schema({ exportAttrs: true });
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw asRegistryError(`reading schema ${id}`, error);
      }
    },
  };
}
