// The kafkajs client of a process: connection settings, all compression codecs, our logger, and guards for known defects.
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs, { type Kafka, logLevel } from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { compress as snappyCompress } from 'snappyjs';
import { FatalError } from '#platform/errors.ts';
import { decompressSnappy } from '#platform/kafka/snappy.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export type { Kafka } from 'kafkajs';

export type KafkaConfig = {
  brokers: readonly string[];
  ssl: boolean;
  username: string | undefined;
  password: string | undefined;
};

/** A broker that takes everybody: the local stack. */
export const plaintext = (brokers: readonly string[]): KafkaConfig => ({
  brokers,
  ssl: false,
  username: undefined,
  password: undefined,
});

type RequestQueue = {
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  pending: unknown[];
  scheduleCheckPendingRequests(): void;
};

let prepared = false;

/** Registers all codecs and guards kafkajs, once per process; `createKafka` does it by itself. */
export function prepareKafkajs(): void {
  if (prepared) return;
  registerCodecs();
  guardIdleSpin();
  prepared = true;
}

/**
 * kafkajs 2.2.4 schedules a check of pending requests with a negative delay when nothing is throttled. Node clamps it to 1 ms, so
 * an idle connection wakes up thousands of times a second. A check is only needed when there is something to check.
 */
function guardIdleSpin(): void {
  const require = createRequire(import.meta.url);
  const Queue = require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue };
  const schedule = Queue.prototype.scheduleCheckPendingRequests;
  if (typeof schedule !== 'function') {
    throw new FatalError(
      'this kafkajs has no request queue to guard: check platform/kafka/kafka-client.ts against its version',
      {
        code: 'unexpected',
      },
    );
  }
  Queue.prototype.scheduleCheckPendingRequests = function guarded(this: RequestQueue): void {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) schedule.call(this);
  };
}

function registerCodecs(): void {
  const { CompressionTypes, CompressionCodecs } = kafkajs;
  const compressZstd = promisify(zstdCompress);
  const decompressZstd = promisify(zstdDecompress);
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async (encoder: { buffer: Buffer }) => compressFrame(encoder.buffer),
    decompress: async (buffer: Buffer) => decompressFrame(buffer),
  });
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async (encoder: { buffer: Buffer }) => compressZstd(encoder.buffer),
    decompress: async (buffer: Buffer) => decompressZstd(buffer),
  });
  CompressionCodecs[CompressionTypes.Snappy] = () => ({
    compress: async (encoder: { buffer: Buffer }) => Buffer.from(snappyCompress(encoder.buffer)),
    decompress: async (buffer: Buffer) => decompressSnappy(buffer),
  });
}

/** A client for producers, consumers and administration. Connects nowhere by itself. */
export function createKafka(options: KafkaConfig & { clientId: string; log: Logger }): Kafka {
  prepareKafkajs();
  const log = options.log.child({ component: 'kafkajs' });
  return new kafkajs.Kafka({
    clientId: options.clientId,
    brokers: [...options.brokers],
    ssl: options.ssl,
    ...(options.username === undefined
      ? {}
      : { sasl: { mechanism: 'scram-sha-512', username: options.username, password: options.password ?? '' } }),
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
    enforceRequestTimeout: true,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 8 },
    logLevel: logLevel.INFO,
    // Everything kafkajs calls an error heals by itself or is thrown to us, who then decide: so nothing here is above WARN.
    logCreator: () => (entry) => {
      const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...fields } = entry.log;
      if (entry.level <= logLevel.WARN) log.warn(fields, message);
      else log.debug(fields, message);
    },
  });
}
