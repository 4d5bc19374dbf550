// The object store port and its S3 implementation: whole small objects, listing, conditional creation.
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';

export type ObjectStoreConfig = {
  endpoint: string | undefined;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  bucket: string;
};

export type StoredObject = { objectKey: string; sizeBytes: number; etag: string | undefined };

export type ObjectStore = {
  readonly bucket: string;
  /** Writes (or overwrites) a whole object. With `onlyIfAbsent` answers false when the object already exists. */
  put(
    objectKey: string,
    body: Uint8Array,
    options?: { contentType?: string; onlyIfAbsent?: boolean },
  ): Promise<boolean>;
  get(objectKey: string): Promise<Uint8Array>;
  find(objectKey: string): Promise<StoredObject | null>;
  /** Every object under the prefix, in key order, following pages. */
  list(prefix: string): Promise<StoredObject[]>;
  delete(objectKey: string): Promise<void>;
  close(): void;
};

function httpStatus(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

/** An S3-compatible object store. Transient errors are retried by the client; what remains is thrown. */
export function createObjectStore(config: ObjectStoreConfig): ObjectStore {
  const client = new S3Client({
    region: config.region,
    credentials: { accessKeyId: config.accessKeyId, secretAccessKey: config.secretAccessKey },
    ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint, forcePathStyle: true }),
    // Newer default checksums are trailers that not every S3-compatible server understands.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 4,
    requestHandler: { requestTimeout: 30_000, connectionTimeout: 5_000 },
  });
  const bucket = config.bucket;
  return {
    bucket,
    put: async (objectKey, body, options = {}) => {
      try {
        await client.send(
          new PutObjectCommand({
            Bucket: bucket,
            Key: objectKey,
            Body: body,
            ContentLength: body.byteLength,
            ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
            ...(options.onlyIfAbsent === true ? { IfNoneMatch: '*' } : {}),
          }),
        );
        return true;
      } catch (error) {
        if (options.onlyIfAbsent === true && (httpStatus(error) === 412 || httpStatus(error) === 409)) return false;
        throw error;
      }
    },
    get: async (objectKey) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: objectKey }));
      if (answer.Body === undefined) throw new Error(`object ${objectKey} has no body`);
      return answer.Body.transformToByteArray();
    },
    find: async (objectKey) => {
      try {
        const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: objectKey }));
        return { objectKey, sizeBytes: head.ContentLength ?? 0, etag: head.ETag };
      } catch (error) {
        if (httpStatus(error) === 404) return null;
        throw error;
      }
    },
    list: async (prefix) => {
      const objects: StoredObject[] = [];
      let token: string | undefined;
      do {
        const page = await client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        );
        for (const entry of page.Contents ?? []) {
          if (entry.Key !== undefined)
            objects.push({ objectKey: entry.Key, sizeBytes: entry.Size ?? 0, etag: entry.ETag });
        }
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
      return objects.sort((a, b) => (a.objectKey < b.objectKey ? -1 : a.objectKey > b.objectKey ? 1 : 0));
    },
    delete: async (objectKey) => {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: objectKey }));
    },
    close: () => client.destroy(),
  };
}
