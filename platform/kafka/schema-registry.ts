// The schema registry: registration at deploy time, ids for writers, schemas by id for readers.
import { COMPATIBILITY, SchemaRegistry as ConfluentRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import type avro from 'avsc';
import { FatalError, RetryableError } from '#platform/errors.ts';

export type AvroSchema = avro.Schema;
export type Compatibility = 'BACKWARD_TRANSITIVE' | 'FULL_TRANSITIVE';

export type SchemaRegistry = {
  /** Registers the schema under the subject and sets the subject's compatibility. Idempotent. Deploy time only. */
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

function asRegistryError(action: string, error: unknown): Error {
  const status = statusOf(error);
  if (status === 409) {
    return new FatalError(`${action}: the registry refuses the schema as incompatible with an earlier version`, {
      code: 'schema-incompatible',
      cause: error,
    });
  }
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

/** `timeoutMs`: longest wait for one answer; a request that has none is tried two more times. */
export function createSchemaRegistry(options: { url: string; timeoutMs?: number }): SchemaRegistry {
  const client = new ConfluentRegistry({
    host: options.url,
    middlewares: [withDeadline(options.timeoutMs ?? 5_000)],
    retry: { retries: 2, initialRetryTimeInSecs: 0.1, maxRetryTimeInSecs: 2 },
  });
  const confluent = (schema: AvroSchema): { type: SchemaType.AVRO; schema: string } => ({
    type: SchemaType.AVRO,
    schema: JSON.stringify(schema),
  });
  return {
    register: async (subject, schema, compatibility) => {
      try {
        const { id } = await client.register(confluent(schema) as never, {
          subject,
          compatibility: COMPATIBILITY[compatibility],
        });
        return id;
      } catch (error) {
        throw asRegistryError(`registering ${subject}`, error);
      }
    },
    idOf: async (subject, schema) => {
      try {
        return await client.getRegistryIdBySchema(subject, confluent(schema) as never);
      } catch (error) {
        if (statusOf(error) === 404) {
          throw new FatalError(`the schema of ${subject} is not registered: run "npm run deploy" first`, {
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
