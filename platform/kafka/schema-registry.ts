// The schema registry: registration at deploy time, ids for writers, schemas by id for readers.
import { COMPATIBILITY, SchemaRegistry as ConfluentRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import type avro from 'avsc';
import { classifyError, FatalError, RetryableError } from '#platform/errors.ts';

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

function asRegistryError(action: string, error: unknown): Error {
  const status = statusOf(error);
  if (status === 409) {
    return new FatalError(`${action}: the registry refuses the schema as incompatible with an earlier version`, {
      code: 'schema-incompatible',
      cause: error,
    });
  }
  if (status === undefined || status >= 500 || status === 429 || classifyError(error) === 'retryable') {
    return new RetryableError(`${action}: the schema registry does not answer`, {
      code: 'dependency-unavailable',
      cause: error,
    });
  }
  return new FatalError(`${action}: the schema registry answered ${status}`, { code: 'schema-unknown', cause: error });
}

export function createSchemaRegistry(options: { url: string }): SchemaRegistry {
  const client = new ConfluentRegistry({
    host: options.url,
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
