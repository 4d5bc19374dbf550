// The S3 server (S3Proxy over a folder) with one bucket.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, HeadBucketCommand, ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { type ComponentContext, defineComponent, getPort } from '../component.ts';
import { loopback } from '../ports.ts';

const objectStoreBucket = 'trialstream';
// S3Proxy accepts any region; clients need one to sign with.
const region = 'us-east-1';

export const objectStore = defineComponent({
  name: 'objectStore',
  title: 'Object store (S3)',
  dependsOn: [],
  ports: { objectStore: 9000 },
  stopSignal: 'TERM',
  graceSeconds: 10,
  healthDeadlineMs: 60_000,
  prepare: async (context) => {
    const { java, dir } = await context.java();
    const objectsDir = join(context.dataDir, 'objects');
    const properties = join(context.dataDir, 's3proxy.properties');
    await mkdir(objectsDir, { recursive: true });
    const settings = {
      's3proxy.endpoint': endpointUrl(context),
      's3proxy.authorization': 'aws-v2-or-v4',
      's3proxy.identity': context.credentials.objectStoreAccessKey,
      's3proxy.credential': context.credentials.objectStoreSecretKey,
      'jclouds.provider': 'filesystem-nio2',
      'jclouds.filesystem.basedir': objectsDir.replaceAll('\\', '\\\\'),
    };
    const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
    await writeFile(properties, `${lines.join('\n')}\n`, { mode: 0o600 });
    return {
      file: java,
      args: [
        '-Xms32m',
        '-Xmx256m',
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        '-Xshare:auto',
        '-Djava.net.preferIPv4Stack=true',
        '-jar',
        join(dir, 'object-store', 's3proxy.jar'),
        '--properties',
        properties,
      ],
    };
  },
  check: async (context) => {
    await withClient(context, async (client) => {
      await client.send(new ListBucketsCommand({}));
    });
  },
  provision: async (context) => {
    await withClient(context, async (client) => {
      const exists = await client.send(new HeadBucketCommand({ Bucket: objectStoreBucket })).then(
        () => true,
        () => false,
      );
      if (!exists) await client.send(new CreateBucketCommand({ Bucket: objectStoreBucket }));
    });
  },
  endpoint: (context) => ({
    endpoint: endpointUrl(context),
    region,
    accessKeyId: context.credentials.objectStoreAccessKey,
    secretAccessKey: context.credentials.objectStoreSecretKey,
    objectStoreBucket,
  }),
});

const endpointUrl = (context: ComponentContext) => `http://${loopback}:${getPort(context, 'objectStore')}`;

async function withClient(context: ComponentContext, use: (client: S3Client) => Promise<void>): Promise<void> {
  const client = new S3Client({
    endpoint: endpointUrl(context),
    region,
    credentials: {
      accessKeyId: context.credentials.objectStoreAccessKey,
      secretAccessKey: context.credentials.objectStoreSecretKey,
    },
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000 },
  });
  try {
    await use(client);
  } finally {
    client.destroy();
  }
}
