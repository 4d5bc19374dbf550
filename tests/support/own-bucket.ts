// A bucket of one test file: for objects under names that every system has, such as the datasets of a day.
import { randomBytes } from 'node:crypto';
import { CreateBucketCommand, DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { StackEndpoints } from '#infra/local/components.ts';
import { createObjectStore, type ObjectStore } from '#platform/object-store/object-store.ts';
import { stackEndpoints } from './stack.ts';

export type OwnBucket = {
  /** As the stack gives them, with this bucket. */
  readonly endpoints: StackEndpoints['objectStore'];
  readonly objectStore: ObjectStore;
  /** Removes the bucket with all that is in it. */
  remove(): Promise<void>;
};

export async function createOwnBucket(): Promise<OwnBucket> {
  const { objectStoreBucket: _shared, ...store } = stackEndpoints().objectStore;
  const bucket = `test-${randomBytes(6).toString('hex')}`;
  const client = new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
    forcePathStyle: true,
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  const objectStore = createObjectStore({ ...store, bucket });
  return {
    endpoints: { ...store, objectStoreBucket: bucket },
    objectStore,
    remove: async () => {
      for (const { objectKey } of await objectStore.list('')) await objectStore.delete(objectKey);
      objectStore.close();
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
      client.destroy();
    },
  };
}
